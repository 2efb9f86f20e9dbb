#!/usr/bin/env bash
# Makes sure that packages which tests need and this project does not depend on are in a folder of their own, build/NAME, at the
# versions that tests/NAME/requirements.txt pins: installs them, by their hashes, into that folder alone. Assumes the environment's
# Python comes first on PATH.
#   tests/install-packages.sh ddranking    DD-Ranking's package, and what it imports
#   tests/install-packages.sh downstream   the packages of downstream tasks; without the folder tests that need one are skipped
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/${1:?which packages: ddranking or downstream}
pins=tests/$1/requirements.txt
wanted="$(cat "$pins") $(python -c 'import sys; print(sys.version_info[:2])')"

if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$wanted" ]; then
    pip=(python -m pip)
    # Where Python comes without ensurepip, the environment has no pip of its own.
    "${pip[@]}" --version >/dev/null 2>&1 || pip=("$(scripts/find-python.sh)" -m pip --python "$(command -v python)")
    rm -rf "$folder"
    "${pip[@]}" install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$folder" -r "$pins"
    printf '%s\n' "$wanted" >"$folder/.installed"
fi
echo "in $folder: $(grep -o '^[a-z-]*==[0-9.]*' "$pins" | tr '\n' ' ')"
