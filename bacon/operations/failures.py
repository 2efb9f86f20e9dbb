"""What jobs warned of and why they failed, as the last lines on the terminal: one line each, from their logs. No torch.

Snakemake ends with its own account of a run. What the user has to act on is in the logs of the jobs, so it is said once more
after all else, when the process ends.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacon.settings.cells import LOGS

# A line of a log starts with date, time and level; the lines of a longer message follow it.
_LINE = re.compile(r"^\d{4}-\d\d-\d\d \S+ ([A-Z]+) ", re.MULTILINE)
_UNCAUGHT = "uncaught exception"
_PACKAGE_WARNING = re.compile(r"\.py:\d+: \w*Warning: ")
_LOG_BYTES = 20_000
_SHOWN = 10
_LETTERS = 500
INTERRUPTED = (
    "Terminating processes on user request",
    "Will exit after finishing currently running jobs (scheduler)",
)
"""How Snakemake starts to say that it was asked to stop, by Ctrl-C (SIGINT) and by SIGTERM: no event of its own says it."""


def last_error(log: Path) -> str:
    """One line: the last error in a log, of an exception that nobody caught its text; empty where there is none."""
    return next(reversed(_messages(log, "ERROR", "CRITICAL")), "")


def warnings_in(log: Path) -> list[str]:
    """The warnings in a log, one line each, without those of other packages."""
    return [line for line in dict.fromkeys(_messages(log, "WARNING")) if not _PACKAGE_WARNING.search(line)]


def _messages(log: Path, *levels: str) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    _, *parts = _LINE.split(text)
    return [_one_line(said) for level, said in zip(parts[::2], parts[1::2], strict=True) if level in levels]


def _one_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    whole = lines[-1] if lines[0] == _UNCAUGHT else " ".join(lines)
    return whole if len(whole) <= _LETTERS else f"{whole[:_LETTERS].rstrip()}..."


class JobReports(logging.Handler):
    """Follows Snakemake's events: which jobs finished, failed without finishing at a further attempt, or were stopped."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._started: dict[int, _Job] = {}
        self._failed: dict[int, _Job] = {}
        self._finished: dict[int, _Job] = {}
        self._is_interrupted = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one of Snakemake's events: a record's ``event`` says which, and has fields of its own."""
        fields, event = vars(record), str(getattr(record, "event", ""))
        if event == "job_info":
            self._started[int(fields["jobid"])] = _Job.of(fields)
        elif event == "job_error":
            self._failed[int(fields["jobid"])] = _Job.of(fields)
        elif event == "group_error":
            self._failed |= {int(job["jobid"]): _Job.of(job) for job in fields.get("job_error_info") or ()}
        elif event == "job_finished":
            number = int(fields.get("job_id", -1))
            self._failed.pop(number, None)
            self._finished |= {number: self._started[number]} if number in self._started else {}
        elif str(record.msg).startswith(INTERRUPTED):
            self._is_interrupted = True

    def lines(self) -> list[str]:
        """One line per warning of finished jobs, however many gave it, one for stopped jobs, and one per failed job."""
        warned = [f"Warning: {_jobs(names)}: {text}" for text, names in self._warnings().items()]
        stopped = self._stopped()
        failed = [
            f"Failed: {job.name}: {job.reason()}" for number, job in self._failed.items() if number not in stopped
        ]
        return [
            *_few(warned, f"warnings in {LOGS}"),
            *([_stopped_line([job.name for job in stopped.values()])] if stopped else ()),
            *_few(failed, "failed jobs: `bacon status` lists them"),
        ]

    def _stopped(self) -> dict[int, _Job]:
        """Jobs that ended with an interrupted run and say of no error; Snakemake need not have told that they ended."""
        if not self._is_interrupted:
            return {}
        begun = {number: job for number, job in self._started.items() if number not in self._finished}
        return {number: job for number, job in (begun | self._failed).items() if not last_error(Path(job.log))}

    def _warnings(self) -> dict[str, list[str]]:
        """Each warning, and the names of the finished jobs that gave it."""
        found: dict[str, list[str]] = {}
        for job in self._finished.values():
            for text in warnings_in(Path(job.log)):
                found.setdefault(text, []).append(job.name)
        return found


@dataclass(frozen=True)
class _Job:
    name: str
    log: str

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> _Job:
        log = str(next(iter(fields.get("log") or ()), ""))
        return cls(str(Path(log).with_suffix("")).removeprefix(f"{LOGS}/") if log else str(fields["rule_name"]), log)

    def reason(self) -> str:
        if self.log and not Path(self.log).exists():
            return "there is no log, as of a job that did not start; Snakemake says above what happened"
        said = (
            last_error(Path(self.log))
            or "it ended without an error message: stopped, out of memory, or the disk is full"
        )
        return said + (f" (log: {self.log})" if self.log else "")


def _jobs(names: Sequence[str]) -> str:
    more = len(names) - 1
    return names[0] + (f" and {more} more job{'s' if more > 1 else ''}" if more else "")


def _stopped_line(names: Sequence[str]) -> str:
    return f"Stopped: {_jobs(names)}: the run was interrupted; the same command goes on where it ended"


def _few(lines: list[str], what: str) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"and {more} more {what}"] if more > 0 else [])


def tell_at_the_end(logger: logging.Logger) -> JobReports:
    """Follow Snakemake's events from now on, and print what jobs warned of and why they failed after everything else."""
    jobs = JobReports()
    logger.addHandler(jobs)
    atexit.register(_print, jobs)
    return jobs


def _print(jobs: JobReports) -> None:
    for line in jobs.lines():
        print(line, file=sys.stderr)


def stop(message: object) -> None:
    """End the process with a message as the last thing on the terminal, without Snakemake's account of where it was raised."""
    sys.stdout.flush()
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)
