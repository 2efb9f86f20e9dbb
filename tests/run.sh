#!/usr/bin/env bash
# Every check, in order, stopping at the first that fails; the SLURM tests, which mostly wait, run beside the long ones, and
# their output is printed whole at the end. With names as arguments, those alone: tests/run.sh lint types
# Assumes the environment's programs come first on PATH, as `make test` arranges.
set -euo pipefail
cd "$(dirname "$0")/.."
# Hundreds of processes import the same modules: they are compiled once, also where an image says otherwise.
unset PYTHONDONTWRITEBYTECODE

unit_tests="not whole_jobs and not workflow and not slurm and not faults and not browser and not latex and not ddranking"

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
    OMP_NUM_THREADS=1 step "Unit tests" pytest -n auto -m "$unit_tests"
}

coverage() { # no part of `all`: counting lines doubles the time of many tests
    OMP_NUM_THREADS=1 step "Coverage" pytest -n auto -m "$unit_tests" --cov --cov-report=term:skip-covered
}

oldest() { # no part of `all`: it takes several GB more, and the unit tests' time again. Its environment is not the locked one.
    step "The oldest PyTorch" tests/oldest/environment.sh
    PATH="$PWD/build/oldest/bin:$PATH" OMP_NUM_THREADS=1 step "Unit tests with it" pytest -n auto -m "$unit_tests" \
        --deselect tests/project/test_environment.py::test_the_installed_environment_is_the_locked_one
}

downstream() { step "Packages of downstream tasks" tests/install-packages.sh downstream; } # before the tests that need them, which fail where one is broken

workflow() { step "Workflow tests" pytest -n auto --dist worksteal -m workflow; }

browser() {
    step "A browser" tests/browser/install.sh
    step "Report in a browser" pytest -m browser tests/browser
}

latex() {
    step "LaTeX" tests/reporting/install_latex.sh
    step "Tables in LaTeX" pytest -m latex tests/reporting
}

ddranking() {
    step "DD-Ranking's package" tests/install-packages.sh ddranking
    OMP_NUM_THREADS=1 step "Exports in DD-Ranking" pytest -m ddranking tests/ddranking
}

slurm() { step "SLURM tests" pytest -m slurm tests/slurm; } # as root: installs and starts a cluster of one node

faults() { OMP_NUM_THREADS=1 step "Faults" pytest -n auto -m faults tests/faults; }

start_slurm() { # in a session of its own, so that it and all that it starts can be ended together
    slurm_log=$(mktemp)
    BESIDE=1 setsid tests/run.sh slurm >"$slurm_log" 2>&1 &
    slurm_pid=$!
    trap end_slurm EXIT
}

end_slurm() { # when another check has failed or was interrupted
    if [[ -n $slurm_pid ]]; then
        echo "The SLURM tests were still running; they are ended." >&2
        kill -TERM -- "-$slurm_pid" 2>/dev/null || true
        for _ in {1..300}; do # it stops the cluster first
            kill -0 -- "-$slurm_pid" 2>/dev/null || break
            sleep 0.2
        done
    fi
    rm -f "$slurm_log"
}

wait_for_slurm() {
    local status=0
    wait "$slurm_pid" || status=$?
    slurm_pid=""
    cat "$slurm_log"
    return "$status"
}

all() {
    lint
    types
    rules
    browser
    latex
    ddranking
    downstream
    if [[ $(id -u) == 0 ]]; then # as in CI, where SLURM that cannot be installed is a failure
        start_slurm
    else
        left_out="without the SLURM tests, which install and start a cluster as root: sudo make slurm"
    fi
    unit
    workflow
    faults
    if [[ -n $slurm_pid ]]; then wait_for_slurm; fi
}

left_out="" slurm_pid="" slurm_log=""
start=$SECONDS
for name in "${@:-all}"; do
    case $name in
        lint | types | rules | unit | workflow | browser | latex | ddranking | downstream | slurm | faults | oldest | coverage | all) "$name" ;;
        *)
            echo "unknown check '$name'; there are: lint, types, rules, unit, workflow, browser, latex, ddranking, downstream, slurm, faults, oldest, coverage, all" >&2
            exit 2
            ;;
    esac
done
[[ -n ${BESIDE:-} ]] || printf '\nAll checks passed in %d s%s.\n' $((SECONDS - start)) "${left_out:+, $left_out}"
