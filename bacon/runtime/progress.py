"""Progress of long work: a bar on a terminal, a plain line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.logs import get_logger

log = get_logger(__name__)


class Progress:
    """Context manager that reports progress.

    Args:
        description: what is being done.
        total: number of steps.
        seconds: seconds between lines when stderr is not a terminal.
        done: steps that an earlier part of the job has done.
        heartbeat: written now and then, for ``bacon status``.
        bar: show a bar on a terminal, which has room for one.
    """

    def __init__(
        self,
        description: str,
        total: int,
        *,
        seconds: float = 10.0,
        done: int = 0,
        heartbeat: Heartbeat | None = None,
        bar: bool = True,
    ) -> None:
        self.description, self.total, self.seconds, self.heartbeat = description, total, seconds, heartbeat
        self.done = self._first = done
        self._start = self._last = time.monotonic()
        self._fields: dict[str, float] = {}
        self._bar = _Bar(description, total) if bar and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        """Start the bar, or say what starts."""
        if self._bar is not None:
            self._bar.start()
        else:
            log.info("%s: started, %d steps", self.description, self.total - self._first)
        self._beat(time.monotonic())
        return self

    def advance(self, steps: int = 1, **fields: float) -> None:
        """Record ``steps`` more steps; ``fields`` are shown beside the bar or in the line."""
        self.done += steps
        self._fields = fields or self._fields
        now = time.monotonic()
        self._beat(now)
        if self._bar is not None:
            self._bar.update(self.done, _text(self._fields))
            return
        if now - self._last >= self.seconds:
            self._last = now
            self._line(now)

    def _rate(self, now: float) -> float:
        return (self.done - self._first) / max(now - self._start, 1e-9)

    def _beat(self, now: float, *, force: bool = False) -> None:
        if self.heartbeat is not None:
            self.heartbeat.write(self.done, self.total, self._rate(now), force=force)

    def _line(self, now: float) -> None:
        rate = self._rate(now)
        left = (self.total - self.done) / rate if rate > 0 else float("nan")
        percent = 100 * self.done / max(self.total, 1)
        text = f"{self.description}: {self.done}/{self.total} ({percent:.0f}%), {rate:.2f}/s, {left:.0f} s left"
        log.info("%s", " ".join(filter(None, (text, _text(self._fields)))))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar, or say how long it took; the next part of the job counts from the time that is written here."""
        self._beat(time.monotonic(), force=True)
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            log.info(
                "%s: %d steps in %.1f s", self.description, self.done - self._first, time.monotonic() - self._start
            )


class _Bar:
    """A rich bar; imported here because log files and light rules never need it."""

    def __init__(self, description: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[info]}"),
        )
        self._progress = RichProgress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(description, total=total, info="")

    def start(self) -> None:
        self._progress.start()

    def update(self, done: int, info: str) -> None:
        self._progress.update(self._task, completed=done, info=info)

    def stop(self) -> None:
        self._progress.stop()


def _text(fields: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in fields.items())
