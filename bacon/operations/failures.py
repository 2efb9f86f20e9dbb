"""Why jobs failed, as the last lines on the terminal: one line each, from their logs. No torch.

Snakemake ends with its own account of a failed run. What the user has to act on is in the logs of the jobs, so it is said once
more after all else, when the process ends.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bacon.settings.cells import LOGS

_ERROR = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) (.+)$", re.MULTILINE)
_UNCAUGHT = "uncaught exception"
_LOG_BYTES = 20_000
_SHOWN = 10


def last_error(log: Path) -> str:
    """One line: the last error in a log, of an exception that nobody caught its text; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    found = _ERROR.findall(text)
    if not found:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if found[-1] == _UNCAUGHT else str(found[-1])


class FailedJobs(logging.Handler):
    """Notes the jobs that Snakemake reports as failed and did not finish at a further attempt."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._logs: dict[int, tuple[str, tuple[str, ...]]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one of Snakemake's events: a record's ``event`` says which, and has fields of its own."""
        fields, event = vars(record), str(getattr(record, "event", ""))
        if event == "job_error":
            self._note(fields)
        elif event == "group_error":
            for job in fields.get("job_error_info") or ():
                self._note(job)
        elif event == "job_finished":
            self._logs.pop(fields.get("job_id", -1), None)

    def _note(self, job: Mapping[str, Any]) -> None:
        self._logs[int(job["jobid"])] = str(job["rule_name"]), tuple(map(str, job.get("log") or ()))

    def lines(self) -> list[str]:
        """One line per failed job, the first few."""
        found = [_line(rule, logs) for rule, logs in self._logs.values()]
        more = len(found) - _SHOWN
        return found[:_SHOWN] + ([f"and {more} more failed jobs: `bacon status` lists them"] if more > 0 else [])


def _line(rule: str, logs: tuple[str, ...]) -> str:
    log = next(iter(logs), "")
    name = str(Path(log).with_suffix("")).removeprefix(f"{LOGS}/") if log else rule
    reason = last_error(Path(log)) if log else ""
    said = reason or "it ended without an error message: it was stopped, or had too little memory"
    return f"Failed: {name}: {said}" + (f" (log: {log})" if log else "")


def tell_at_the_end(logger: logging.Logger) -> FailedJobs:
    """Follow Snakemake's events from now on, and print the failed jobs when the process ends, after everything else."""
    jobs = FailedJobs()
    logger.addHandler(jobs)
    atexit.register(_print, jobs)
    return jobs


def _print(jobs: FailedJobs) -> None:
    for line in jobs.lines():
        print(line, file=sys.stderr)


def stop(message: object) -> None:
    """End the process with a message as the last thing on the terminal, without Snakemake's account of where it was raised."""
    sys.stdout.flush()
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)
