#!/usr/bin/env bash
# Makes sure that DD-Ranking's package is in build/ddranking, at the pinned version: installs it and what it imports, by their
# hashes, into that folder alone. Assumes the environment's Python comes first on PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=build/ddranking
pins=tests/ddranking/requirements.txt
wanted="$(cat "$pins") $(python -c 'import sys; print(sys.version_info[:2])')"

if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$wanted" ]; then
    pip=(python -m pip)
    # Where Python comes without ensurepip, the environment has no pip of its own.
    "${pip[@]}" --version >/dev/null 2>&1 || pip=("$(scripts/find-python.sh)" -m pip --python "$(command -v python)")
    rm -rf "$folder"
    "${pip[@]}" install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$folder" -r "$pins"
    printf '%s\n' "$wanted" >"$folder/.installed"
fi
echo "ddranking is in $folder: $(grep -m 1 '^ddranking' "$pins" | cut -d ' ' -f 1)"
