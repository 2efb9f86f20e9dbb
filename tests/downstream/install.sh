#!/usr/bin/env bash
# Makes sure that the packages of downstream tasks are in build/downstream, at the pinned versions: installs them and what they
# import, by their hashes, into that folder alone. Tests that need one are skipped without it. Assumes the environment's Python
# comes first on PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=build/downstream
pins=tests/downstream/requirements.txt
wanted="$(cat "$pins") $(python -c 'import sys; print(sys.version_info[:2])')"

if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$wanted" ]; then
    pip=(python -m pip)
    # Where Python comes without ensurepip, the environment has no pip of its own.
    "${pip[@]}" --version >/dev/null 2>&1 || pip=("$(scripts/find-python.sh)" -m pip --python "$(command -v python)")
    rm -rf "$folder"
    "${pip[@]}" install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$folder" -r "$pins"
    printf '%s\n' "$wanted" >"$folder/.installed"
fi
echo "the packages of downstream tasks are in $folder: $(grep -o '^[a-z-]*==[0-9.]*' "$pins" | tr '\n' ' ')"
