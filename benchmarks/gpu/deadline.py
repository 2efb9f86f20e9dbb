"""The time of a part: pieces of work are begun while there is enough of it, and what is not begun is said."""

from __future__ import annotations

import time

from benchmarks.gpu.findings import Findings

_RESERVE = 4.0
"""Seconds kept for the end of the process."""


class Deadline:
    """When a part has to be done.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._begun: float | None = None
        self._longest = 0.0

    def left(self) -> float:
        """Seconds, negative when it is over."""
        return self._end - time.monotonic()

    def allows(self, what: str, found: Findings) -> bool:
        """Whether another piece of work may begin; where not, ``found`` says that ``what`` was skipped.

        A piece is taken to last as long as the longest so far: from one call that allowed it to the next call.
        """
        now = time.monotonic()
        if self._begun is not None:
            self._longest = max(self._longest, now - self._begun)
        self._begun = None
        if self._end - now < _RESERVE + self._longest:
            found.skip(what, "no time left in this part")
            return False
        self._begun = now
        return True
