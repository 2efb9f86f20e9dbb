#!/usr/bin/env bash
# Every check, in order, stopping at the first that fails. With names as arguments, those alone: tests/run.sh lint types
# Assumes the environment's programs come first on PATH, as `make test` arranges.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { # step TITLE COMMAND...: a header, the command, and its time
    local title=$1 start=$SECONDS
    shift
    printf '\n=== %s: %s\n' "$title" "$*"
    if ! "$@"; then
        printf '=== %s FAILED after %d s\n' "$title" $((SECONDS - start)) >&2
        exit 1
    fi
    printf '=== %s: passed in %d s\n' "$title" $((SECONDS - start))
}

lint() {
    step "Lint" ruff check
    step "Format" ruff format --check
    step "Arrows between rooms" lint-imports --no-cache
}

types() { step "Types" mypy; }

rules() {
    step "Format of rules" snakefmt --check workflow
    step "Lint of rules" snakemake --lint
}

unit() {
    # One thread a worker: there are as many workers as cores, and more threads than cores get in each other's way.
    OMP_NUM_THREADS=1 step "Unit tests" pytest -n auto -m "not workflow and not slurm and not faults and not browser and not latex" --cov --cov-report=term:skip-covered
}

workflow() { step "Workflow tests" pytest -n auto -m workflow; }

browser() {
    step "A browser" tests/browser/install.sh
    step "Report in a browser" pytest -m browser tests/browser
}

latex() {
    step "LaTeX" tests/reporting/install_latex.sh
    step "Tables in LaTeX" pytest -m latex tests/reporting
}

slurm() { step "SLURM tests" pytest -m slurm tests/slurm; } # as root: installs and starts a cluster of one node

faults() { OMP_NUM_THREADS=1 step "Faults" pytest -n auto -m faults tests/faults; }

all() {
    lint
    types
    rules
    unit
    workflow
    browser
    latex
    if [[ $(id -u) == 0 ]]; then # as in CI, where SLURM that cannot be installed is a failure
        slurm
    else
        left_out="without the SLURM tests, which install and start a cluster as root: sudo make slurm"
    fi
    faults
}

left_out=""
start=$SECONDS
for name in "${@:-all}"; do
    case $name in
        lint | types | rules | unit | workflow | browser | latex | slurm | faults | all) "$name" ;;
        *)
            echo "unknown check '$name'; there are: lint, types, rules, unit, workflow, browser, latex, slurm, faults, all" >&2
            exit 2
            ;;
    esac
done
printf '\nAll checks passed in %d s%s.\n' $((SECONDS - start)) "${left_out:+, $left_out}"
