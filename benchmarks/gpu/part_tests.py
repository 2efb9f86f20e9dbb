"""The tests marked gpu and not long, in one run of pytest with a worker for nearly each core: most of the time is compiling."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bacon.plan.machine import usable_cores
from bacon.runtime.errors import BaconError
from benchmarks.cells import ROOT
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.outcomes import Outcome, read
from benchmarks.gpu.request import Request

_MARKS = "mark.gpu", "on_a_gpu"  # the second is a list of marks that a file may import
_SPARED_CORES, _FEWEST, _MOST = 2, 2, 14
"""Cores that are no worker's, and the limits of the workers' number."""
_ENDS_WELL = (0, 5)
"""pytest's status where every test passed, and where there is none with the mark."""
_END_SECONDS = 2.0
_SLOWEST = 10


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Run them; a failure is a figure and an error of the part.

    Raises:
        BaconError: a test failed or did not end in time; their output is in the log.
    """
    path = request.folder / "tests.jsonl"
    path.unlink(missing_ok=True)
    files = [_name(file) for file in files_with_tests(request.tests)]
    seconds = max(deadline.left() - _END_SECONDS, 0.1)
    status = _run(files, path, workers(request.device), seconds=seconds)
    outcomes = read(path)
    for file in dict.fromkeys(outcome.file for outcome in outcomes):
        found.row("tests", **_row(file, [outcome for outcome in outcomes if outcome.file == file]))
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.seconds)[:_SLOWEST]:
        found.row("slowest", test=outcome.name, seconds=outcome.seconds)
    for result in ("passed", "failed", "skipped"):
        found.figure(f"tests {result}", sum(outcome.result == result for outcome in outcomes))
    if errors := _errors(outcomes, found, status):
        raise BaconError("; ".join(errors))


def files_with_tests(places: tuple[str, ...]) -> list[Path]:
    """The files at ``places`` in which a test is marked; only these are imported, for others may need more packages."""
    files: list[Path] = []
    for place in map(Path, places):
        path = place if place.is_absolute() else ROOT / place
        files += sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    return [file for file, text in texts.items() if any(mark in text for mark in _MARKS)]


def workers(device: str) -> int:
    """How many processes run tests: on a CPU, which is a trial, as few as there may be."""
    return _FEWEST if device == "cpu" else min(max(usable_cores() - _SPARED_CORES, _FEWEST), _MOST)


def command(files: Sequence[str], path: Path, count: int) -> list[str]:
    """What runs the tests of ``files`` and writes their outcomes to ``path``."""
    return [
        *(sys.executable, "-m", "pytest", "-v", "-m", "gpu and not long", "-p", "no:cacheprovider"),
        # Neighbouring tests compile the same kernels: a worker keeps them together until another one has nothing to do.
        *("-n", str(count), "--dist", "worksteal"),
        # A file that cannot be imported is a failure, and the others' tests run.
        "--continue-on-collection-errors",
        *("--log-level", "INFO"),
        *("-p", "benchmarks.gpu.outcomes", "--outcomes", str(path)),
        *files,
    ]


def _name(file: Path) -> str:
    """As pytest names it: relative to the folder of the project where it lies there."""
    return str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file)


def _run(files: Sequence[str], path: Path, count: int, *, seconds: float) -> int | None:
    """The status of pytest, or ``None`` where it did not end within ``seconds``."""
    if not files:  # pytest would run all tests
        return 0
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # more threads than cores get in each other's way
    try:
        return subprocess.run(
            command(files, path, count), cwd=ROOT, env=environment, timeout=seconds, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def _row(file: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    counts = Counter(outcome.result for outcome in outcomes)
    numbers = {result: counts[result] for result in ("passed", "failed", "skipped", "late")}
    failed = [outcome.name for outcome in outcomes if outcome.result == "failed"]
    return {"file": file, **numbers, "seconds": sum(outcome.seconds for outcome in outcomes), "failures": failed}


def _errors(outcomes: Sequence[Outcome], found: Findings, status: int | None) -> list[str]:
    """What makes the part fail."""
    failed = [outcome.name for outcome in outcomes if outcome.result == "failed"]
    errors = [f"tests failed: {', '.join(failed)}"] if failed else []
    late = [outcome for outcome in outcomes if outcome.result == "late"]
    if status is None:
        for outcome in outcomes:
            if outcome.why:  # pytest prints it when all tests have ended
                print("\n", f"FAILED {outcome.name}", *outcome.why, sep="\n", flush=True)
        done = len(outcomes) - len(late)
        errors.append(f"tests did not end in time: {done} of {len(outcomes) or 'an unknown number'} had ended")
        found.skip(f"tests of {', '.join(sorted({outcome.file for outcome in late}))}", errors[-1])
    elif late or (status not in _ENDS_WELL and not failed):
        errors.append(f"pytest ended with status {status}, and {len(late)} tests had not ended; see the log")
    return errors
