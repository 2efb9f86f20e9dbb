"""A small file with the progress of a running job, for ``bacon status`` and for the time of a killed job."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bacon.runtime.atomic import write_json
from bacon.runtime.logs import get_logger
from bacon.runtime.used import Used

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """What a running job says of itself.

    Attributes:
        fingerprint: of the artifact that it makes.
        done: steps done, those of earlier parts included.
        total: steps in all.
        rate: steps per second of this part; 0 before the first step.
        seconds: wall time of all parts, in seconds.
        updated: when this was written, seconds since the epoch; for people and other machines, never for results.
        interval: seconds until the next writing is due.
        pid: process.
        host: machine.
        slurm_job: the SLURM job, or an empty text.
        device: where it computes.
        joules: that its device took in all parts; ``None``: unknown.
        share: of the device's use that was the job's; ``None``: unknown.
        energy_source: of the joules.
        peak_memory_bytes: of all parts; 0: unknown.
    """

    fingerprint: str
    done: int
    total: int
    rate: float
    seconds: float
    updated: float
    interval: float
    pid: int
    host: str
    slurm_job: str
    device: str
    joules: float | None = None
    share: float | None = None
    energy_source: str = ""
    peak_memory_bytes: int = 0

    @property
    def used(self) -> Used:
        """Energy and memory of all parts."""
        return Used(
            joules=self.joules, share=self.share, source=self.energy_source, peak_memory_bytes=self.peak_memory_bytes
        )

    @property
    def seconds_left(self) -> float | None:
        """Estimated time to the end; ``None`` before there is a rate."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


class Heartbeat:
    """Writes a job's progress to a file, at most once every ``interval`` seconds, and removes it when the job ends well.

    Args:
        path: the file.
        fingerprint: of the artifact that the job makes.
        device: where it computes, readable.
        interval: seconds between two writings.
        use: says what this part of the job has used so far (``bacon.runtime.energy.measured_use``).
        clock: what the job's time is measured by, where it shares the process with others; ``None``: all of the time.
    """

    def __init__(
        self,
        path: Path,
        *,
        fingerprint: str,
        device: str,
        interval: float,
        use: Callable[[], Used] = Used,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.path, self.fingerprint, self.device, self.interval = path, fingerprint, device, interval
        self.part_used = use
        previous = read_progress(path)
        known = previous is not None and previous.fingerprint == fingerprint
        self.earlier_seconds = previous.seconds if previous is not None and known else 0.0
        """Wall time of the earlier parts of this job; of one that was killed, at most ``interval`` is missing."""
        self._earlier = previous.used if previous is not None and known else None
        self._clock = clock or (lambda: time.monotonic())
        self._start = self._clock()
        self._last: float | None = None
        self._before, self._of = 0, 1

    def seconds(self) -> float:
        """Wall time of all parts of the job so far."""
        return self.earlier_seconds + self._clock() - self._start

    def used(self) -> Used:
        """Energy and peak memory of all parts of the job so far; the energy of a killed part ends with its last writing."""
        return self.part_used() if self._earlier is None else self._earlier.and_then(self.part_used())

    def part(self, place: int, count: int) -> Heartbeat:
        """From now on, what is written is the progress of the part ``place``, from 0, of ``count`` parts taken for equal."""
        self._before, self._of = place, count
        return self

    def write(self, done: int, total: int, rate: float, *, force: bool = False) -> None:
        """Write the file when it is due; a full disk must not stop the computation."""
        now = time.monotonic()
        if not force and self._last is not None and now - self._last < self.interval:
            return
        self._last = now
        done, total = self._before * total + done, self._of * total
        used = self.used()
        progress = JobProgress(
            fingerprint=self.fingerprint, done=done, total=total, rate=rate, seconds=self.seconds(),
            updated=time.time(), interval=self.interval, pid=os.getpid(), host=platform.node(),
            slurm_job=os.environ.get("SLURM_JOB_ID", ""), device=self.device,
            joules=used.joules, share=used.share, energy_source=used.source, peak_memory_bytes=used.peak_memory_bytes,
        )  # fmt: skip
        try:
            write_json(self.path, asdict(progress))
        except OSError as error:
            log.warning("could not write progress to %s (%s)", self.path, error)

    def remove(self) -> None:
        """The job is done: there is nothing to say any more."""
        self.path.unlink(missing_ok=True)


def read_progress(path: Path) -> JobProgress | None:
    """The last progress that a job wrote; ``None`` if there is no readable file."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        return JobProgress(**{field.name: value[field.name] for field in fields(JobProgress) if field.name in value})
    except (OSError, ValueError, KeyError, TypeError):
        return None
