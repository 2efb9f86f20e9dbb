"""How long a piece of work took, also where several are under way and share the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Seconds = Callable[[], float]
Clock = Callable[[], AbstractContextManager[Seconds]]
"""A context; what it gives says how many seconds there were from its beginning to its end."""


@contextmanager
def own_clock() -> Iterator[Seconds]:
    """All the time that passes."""
    start, end = time.perf_counter(), float("nan")
    yield lambda: end - start
    end = time.perf_counter()


class SharedClock:
    """Divides the time that passes among those that are under way, so that their seconds add up to it."""

    def __init__(self) -> None:
        self._under_way, self._shares, self._last = 0, 0.0, time.perf_counter()

    @contextmanager
    def __call__(self) -> Iterator[Seconds]:
        """The share of one more piece of work."""
        start, end = self._changed(1), float("nan")
        yield lambda: end - start
        end = self._changed(-1)

    def now(self) -> float:
        """Seconds of a share since the beginning: differences are what one who is under way is charged."""
        return self._changed(0)

    def _changed(self, by: int) -> float:
        now = time.perf_counter()
        self._shares += (now - self._last) / max(self._under_way, 1)
        self._last = now
        self._under_way += by
        return self._shares
