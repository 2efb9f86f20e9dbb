#!/usr/bin/env bash
# Regenerates requirements.lock from pyproject.toml and resources/lock-constraints.txt: exact versions with hashes, for
# Python 3.11 and newer on every platform. Pins that still fit stay as they are; arguments go to uv, e.g. --upgrade or
# --upgrade-package NAME. After a change, bring environment.yml in line: tests/project/test_environment.py says what differs.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/find-python.sh lock)
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools"
"$tools/bin/pip" install --quiet "uv==0.13.9"
"$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --extra workflow --extra dev \
    --constraint resources/lock-constraints.txt "$@" pyproject.toml --output-file requirements.lock
echo "requirements.lock: $(grep -c '==' requirements.lock) pins"
