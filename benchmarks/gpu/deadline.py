"""The time of a part: pieces of work are begun while there is enough of it, and what is not begun is said."""

from __future__ import annotations

import time

from benchmarks.gpu.findings import Findings

_RESERVE = 4.0
"""Seconds kept for the end of the process."""
_START = "start"


class Deadline:
    """When a part has to be done, and what its time went to.

    Args:
        seconds: of the part.
        spent: seconds of these that are over: the process has started.
    """

    def __init__(self, seconds: float, *, spent: float = 0.0) -> None:
        self._begun = time.monotonic() - spent
        self._end = self._begun + seconds
        self._piece, self._kind = _START, _START
        self._longest: dict[str, float] = {}

    def left(self) -> float:
        """Seconds, negative when it is over."""
        return self._end - time.monotonic()

    def allows(self, what: str, found: Findings, *, kind: str | None = None, least: float = 0.0) -> bool:
        """Whether another piece of work may begin; where not, ``found`` says that ``what`` was skipped.

        A piece lasts from one call that allowed it to the next call, and is taken to last as long as the longest so far.

        Args:
            what: the piece.
            found: keeps the seconds of the last piece.
            kind: pieces that last about as long as each other, in place of all; of the first of a kind, all count.
            least: seconds that it lasts at the least.
        """
        self._keep(found)
        known = self._longest.get(kind or "", max(self._longest.values(), default=0.0))
        if self.left() < _RESERVE + max(known, least):
            found.skip(what, "no time left in this part")
            return False
        self._piece, self._kind = what, kind or what
        return True

    def end(self, found: Findings) -> None:
        """Keep the seconds of the last piece; a part that asked for none has no start either."""
        if self._piece != _START:
            self._keep(found)

    def _keep(self, found: Findings) -> None:
        now = time.monotonic()
        if self._piece:
            seconds = now - self._begun
            found.piece(self._piece, seconds)
            if self._piece != _START:
                self._longest[self._kind] = max(self._longest.get(self._kind, 0.0), seconds)
        self._begun, self._piece = now, ""
