"""The tests marked gpu, file by file: several files at once, since most of their time is compiling."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bacon.runtime.errors import BaconError
from benchmarks.cells import ROOT
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.request import Request

_AT_ONCE = 4
_MARK = "mark.gpu"
_NOTHING_CHOSEN = 5
"""pytest's status where a file has no such test."""
_END_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """Tests of a file.

    Attributes:
        file: relative to the folder of the project where it lies there.
        passed: number of tests that passed.
        failed: number that failed or could not run.
        skipped: number that were skipped: there is no GPU.
        ended: whether all of them ran in time.
    """

    file: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    ended: bool = True


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Run them; a failure is a figure and an error of the part.

    Raises:
        BaconError: a test failed or did not end in time; their output is in the log.
    """
    files = files_with_tests(request.tests)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = list(pool.map(lambda file: _run(file, request.folder, deadline), files))
    for outcome in done:
        found.row("tests", **vars(outcome))
    for name in ("passed", "failed", "skipped"):
        found.figure(f"tests {name}", sum(getattr(outcome, name) for outcome in done))
    late = [outcome.file for outcome in done if not outcome.ended]
    if late:
        found.skip(f"tests of {', '.join(late)}", "they did not end in time")
    if bad := [outcome.file for outcome in done if outcome.failed or not outcome.ended]:
        raise BaconError(f"tests failed or did not end: {', '.join(bad)}")


def files_with_tests(places: tuple[str, ...]) -> list[Path]:
    """The files at ``places`` in which a test is marked; only these are imported, for others may need more packages."""
    files: list[Path] = []
    for place in map(Path, places):
        path = place if place.is_absolute() else ROOT / place
        files += sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    return [file for file in files if _MARK in file.read_text(encoding="utf-8")]


def _run(file: Path, folder: Path, deadline: Deadline) -> Outcome:
    name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file)
    report = folder / "tests" / f"{'-'.join(Path(name.lstrip('/')).with_suffix('').parts)}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        name,
    ]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            timeout=max(deadline.left() - _END_SECONDS, 0.1),
            check=False,
            capture_output=True,
            text=True,
        )
    except subprocess.TimeoutExpired as late:
        written: list[bytes | None] = [late.stdout, late.stderr]  # bytes, in spite of `text`
        begun = b"".join(part or b"" for part in written).decode(errors="replace")
        print(f"{name}: did not end in time\n{begun}", flush=True)
        return Outcome(name, ended=False)
    print(f"{name}: status {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
    if done.returncode == _NOTHING_CHOSEN:
        return Outcome(name)
    return _read(name, report)


def _read(name: str, report: Path) -> Outcome:
    """The numbers in pytest's report; one failure where it wrote none."""
    if not report.is_file():
        return Outcome(name, failed=1)
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    total, failures, errors, skipped = (int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped"))
    bad = failures + errors
    return Outcome(name, passed=total - bad - skipped, failed=bad, skipped=skipped)
