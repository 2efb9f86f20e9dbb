#!/usr/bin/env bash
# Makes sure that pdflatex and the package booktabs are there, else installs Debian's as root.
set -euo pipefail

there() { command -v pdflatex >/dev/null && command -v kpsewhich >/dev/null && kpsewhich booktabs.sty >/dev/null; }

if ! there && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends texlive-latex-base texlive-latex-recommended >/dev/null
fi
if ! there; then
    echo "The tables are compiled with pdflatex and booktabs, which are not here (Debian: texlive-latex-recommended)." >&2
    exit 1
fi
pdflatex --version | head -1
