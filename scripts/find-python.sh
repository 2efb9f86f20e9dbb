#!/usr/bin/env bash
# Prints the path of a Python that this project runs on: $PYTHON when it is set, else the first that works.
# A name on PATH is not enough: version managers leave names there that fail when they are run, so each is tried.
set -euo pipefail

# _base_executable: the interpreter beneath an activated environment, which may be the very one to be replaced.
check='
import sys
if sys.version_info[:2] < (3, 11):
    sys.exit(f"it is Python {sys.version.split()[0]}")
import venv
print(sys._base_executable)
'

candidates=(python3.11 python3.12 python3.13 python3.14 python3)
if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi

tried=()
for candidate in "${candidates[@]}"; do
    if ! command -v "$candidate" >/dev/null; then
        tried+=("$candidate: not found")
    elif answer=$("$candidate" -c "$check" 2>&1); then
        echo "$answer"
        exit 0
    else
        tried+=("$candidate: $(grep -m 1 -v -e '^Traceback' -e '^ ' <<<"$answer")")
    fi
done

{
    echo "No usable Python found; Python 3.11 or newer with its venv module is needed. Tried:"
    printf '  %s\n' "${tried[@]}"
    echo "Install one, or name it: make ${1:-env} PYTHON=/path/to/python3.11"
} >&2
exit 1
