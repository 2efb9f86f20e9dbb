#!/usr/bin/env bash
# Makes sure that build/oldest is an environment with the oldest PyTorch: the packages of requirements.lock, of which those that
# tests/oldest/requirements.txt names are at the versions there, by their hashes, and this project in place.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=$(scripts/find-python.sh oldest)
folder=$PWD/build/oldest
pins=tests/oldest/requirements.txt
wanted="$(cat "$pins" requirements.lock pyproject.toml) $folder $("$python" -c 'import sys; print(sys.version_info[:2])')"

if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$wanted" ]; then
    echo "Creating $folder with $python: several GB, takes minutes"
    "$python" -m venv --clear --without-pip "$folder"
    pip=("$python" -m pip --python "$folder/bin/python" --quiet --disable-pip-version-check)
    awk -F '==' 'NR == FNR { if (/^[a-z]/) named[$1]; next } /^[^ ]/ { left_out = $1 in named } !left_out' \
        "$pins" requirements.lock >"$folder/others.txt"
    "${pip[@]}" install --no-deps --require-hashes -r "$folder/others.txt" -r "$pins"
    "${pip[@]}" install --no-deps --no-build-isolation -e .
    "${pip[@]}" check
    printf '%s\n' "$wanted" >"$folder/.installed"
fi
"$folder/bin/python" -c 'import sys, torch; print(f"in build/oldest: PyTorch {torch.__version__}, Python {sys.version.split()[0]}")'
