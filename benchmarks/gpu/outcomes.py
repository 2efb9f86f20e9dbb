"""A plugin of pytest that writes down what each test came to as soon as it has ended, and what reads it again.

pytest's own report (``--junitxml``) is written when all tests have ended, so that of a run that is cut short nothing is known.

``python -m pytest -p benchmarks.gpu.outcomes --outcomes FILE``. ``FILE`` has a line of JSON for each event: ``chosen``, the
tests that are to run, by pytest's identifiers; then ``test`` (or, of a file that cannot be imported, ``file``) with its
``phase``, ``outcome``, ``seconds`` and, of a failure, ``why``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_LAST_PHASES = ("teardown", "???")
"""After which nothing of a test follows; the second is what pytest-xdist writes when a worker died."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--outcomes``."""
    parser.addoption(
        "--outcomes", type=Path, help="File to which each test's outcome is written as soon as it has ended."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Write in the process that is told of every test, not in pytest-xdist's workers."""
    path = config.getoption("outcomes")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(path))


class _Writer:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)  # whole lines reach the file at once
        self._chosen = False

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Each worker has collected the same tests."""
        if not self._chosen:
            self._write(chosen=list(ids))
            self._chosen = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(file=report.nodeid, phase="???", outcome="failed", seconds=0.0, why=report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        logged = f"\nlogged:\n{report.caplog}" if report.caplog else ""  # why a step was not recorded, for one
        more = {"why": report.longreprtext + logged} if report.failed else {}
        self._write(test=report.nodeid, phase=report.when, outcome=report.outcome, seconds=report.duration, **more)

    def pytest_unconfigure(self) -> None:
        self._file.close()

    def _write(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")


@dataclass
class Outcome:
    """What a test, or a file that cannot be imported, came to.

    Attributes:
        name: pytest's identifier.
        seconds: that it took, preparation included.
        result: ``passed``, ``failed``, ``skipped``, or ``late``: it had not ended when the run was cut short.
        why: what pytest printed of each failure, and what had been logged.
    """

    name: str
    seconds: float = 0.0
    result: str = "late"
    why: list[str] = field(default_factory=list)

    @property
    def file(self) -> str:
        """The test's file."""
        return self.name.partition("::")[0]


def read(path: Path) -> list[Outcome]:
    """The outcomes in a file that the plugin wrote; a file that was never begun has none."""
    found: dict[str, Outcome] = {}
    failed: set[str] = set()
    skipped: set[str] = set()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    for line in lines:
        if not line.endswith("\n"):  # the process was ended while it wrote
            break
        event = json.loads(line)
        for name in event.get("chosen", ()):
            found.setdefault(name, Outcome(name))
        if (name := event.get("test") or event.get("file")) is None:
            continue
        outcome = found.setdefault(name, Outcome(name))
        outcome.seconds += event["seconds"]
        outcome.why += [event["why"]] if "why" in event else []
        for results, result in ((failed, "failed"), (skipped, "skipped")):
            if event["outcome"] == result:
                results.add(name)
        if name in failed:
            outcome.result = "failed"
        elif event["phase"] in _LAST_PHASES:
            outcome.result = "skipped" if name in skipped else "passed"
    return list(found.values())
