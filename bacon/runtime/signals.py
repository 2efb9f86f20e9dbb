"""Requests to stop: SIGTERM (schedulers, kill), SIGUSR1 (SLURM's warning before a time limit) and SIGINT (Ctrl-C)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stop:
    """Which signal asked this process to stop, if any."""

    def __init__(self) -> None:
        self.number: int | None = None

    def exit_status(self) -> int:
        """128 + the signal's number, as shells report it: never zero, so that the workflow runs the job again."""
        assert self.number is not None, "no signal came"
        return 128 + self.number


@contextmanager
def deferred_stop() -> Iterator[Stop]:
    """Note the first request to stop instead of ending at once; the second one ends the process as it always would."""
    stop = Stop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, _: FrameType | None) -> None:
        stop.number = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
