#!/usr/bin/env bash
# Makes sure that Chromium and its driver are there: uses those on PATH or named by CHROMIUM and CHROMEDRIVER, else
# installs Debian's as root.
set -euo pipefail

there() { command -v "${CHROMIUM:-chromium}" >/dev/null && command -v "${CHROMEDRIVER:-chromedriver}" >/dev/null; }

if ! there && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null
fi
if ! there; then
    echo "The report is tested in Chromium, which is not here. Install Chromium and chromedriver of the same version (Debian:" \
        "chromium and chromium-driver), or name other programs by CHROMIUM and CHROMEDRIVER." >&2
    exit 1
fi
"${CHROMEDRIVER:-chromedriver}" --version
