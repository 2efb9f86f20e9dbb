"""What comes before what, among the streams of a GPU and the host: vector clocks, one for each of them.

Two uses of a piece of memory, one of which writes it, must be ordered: by a stream that waits for another or for an event, or
by the host that waits for either before it launches more. What is not ordered is a race, however the timing happens to fall.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HOST = "the host"
_OURS = ("/bacon/", "/tests/", "/benchmarks/")
_CALLS = 4

Clock = dict[str, int]
Place = tuple[tuple[str, int], ...]


def place() -> Place:
    """Where in this project's code we are: the innermost lines, ours only. A backward pass has none."""
    found: list[tuple[str, int]] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < _CALLS:
        if _is_ours(name := frame.f_code.co_filename):
            found.append((name, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


@cache
def _is_ours(file: str) -> bool:
    return any(part in file for part in _OURS) and "/emulated_gpu/" not in file


@dataclass(frozen=True)
class Use:
    """A use of a piece of memory: who, its clock then, and where in the code."""

    by: str
    at: int
    place: Place


@dataclass(eq=False)
class Memory:
    """A piece of memory, the last time it was written, and what has read it since.

    Attributes:
        order: told when it is freed.
        of: the stream that it was allocated on, to whose next tensors it goes when it is freed; None for the host's memory.
        pool: of a CUDA graph, or 0.
        made: where.
    """

    order: Order
    of: str | None
    pool: int = 0
    made: Place = field(default_factory=place)
    written: Use | None = None
    read: dict[str, Use] = field(default_factory=dict)
    recorded: set[str] = field(default_factory=set)

    def __del__(self) -> None:
        if self.of is not None:
            self.order.freed(self)


class Order:
    """The clocks of streams and of the host, and every race that was seen.

    Attributes:
        races: what was seen -> how often.
        place: where what was launched last was launched.
    """

    def __init__(self) -> None:
        self.place: Place = ()
        self.races: Counter[str] = Counter()
        self._clocks: defaultdict[str, Clock] = defaultdict(dict)
        self._freed: defaultdict[tuple[str | None, int], list[tuple[Use, Place]]] = defaultdict(list)

    def launched(self, by: str) -> int:
        """Something is launched on a stream, by the host, and so after all that the host has waited for; its clock."""
        own, self.place = self._clocks[by], place()
        if by != HOST:
            self._merge(by, self._clocks[HOST])
        own[by] = own.get(by, 0) + 1
        return own[by]

    def clock(self, of: str) -> Clock:
        """All that comes before what is launched next on a stream: what an event records."""
        self._merge(of, self._clocks[HOST])
        return dict(self._clocks[of])

    def waits(self, who: str, clock: Mapping[str, int]) -> None:
        """What ``who`` does next comes after all of ``clock``."""
        self._merge(who, clock)

    def waits_for_all(self, who: str) -> None:
        """What ``who`` does next comes after everything launched so far."""
        for clock in list(self._clocks.values()):
            self._merge(who, clock)

    def was_recorded(self, streams: Iterable[str]) -> None:
        """What was launched on streams while a graph was recorded has used no memory."""
        for stream in streams:
            self._clocks[HOST][stream] = self._clocks[stream].get(stream, 0)

    def reads(self, memory: Memory, by: str, at: int) -> None:
        """``by`` reads a piece of memory."""
        self._expect(by, memory, [memory.written], "reads what is still written")
        memory.read[by] = Use(by, at, self.place)

    def writes(self, memory: Memory, by: str, at: int) -> None:
        """``by`` writes a piece of memory."""
        self._expect(by, memory, [memory.written], "writes what is still written")
        self._expect(by, memory, memory.read.values(), "writes what is still read")
        memory.written, memory.read = Use(by, at, self.place), {}

    def freed(self, memory: Memory) -> None:
        """A tensor is gone, and the next one of its stream may get its memory."""
        uses = [*memory.read.values(), *([memory.written] if memory.written else [])]
        unknown = [use for use in uses if use.by not in memory.recorded and not self._is_before(use, memory.of)]
        self._freed[memory.of, memory.pool] += [(use, memory.made) for use in unknown]

    def allocated(self, by: str, pool: int) -> None:
        """A stream gets memory for a tensor, which may be any that was freed."""
        for use, made in self._freed.pop((by, pool), ()):
            if not self._is_before(use, by):
                self._report(f"memory made at {_text(made)} is given out again", by, use)

    def _expect(self, by: str, memory: Memory, uses: Iterable[Use | None], what: str) -> None:
        for use in uses:
            if use is not None and not self._is_before(use, by):
                self._report(f"{what}, made at {_text(memory.made)}", by, use)

    def _is_before(self, use: Use, by: str | None) -> bool:
        return any(who == use.by or self._clocks[who].get(use.by, 0) >= use.at for who in (by, HOST) if who)

    def _report(self, what: str, by: str, use: Use) -> None:
        self.races[f"{by} {what}: at {_text(place())}, by {use.by} at {_text(use.place)}"] += 1

    def _merge(self, who: str, clock: Mapping[str, int]) -> None:
        own = self._clocks[who]
        for other, time in clock.items():
            own[other] = max(own.get(other, 0), time)


def _text(place: Place) -> str:
    lines = [f"{'/'.join(Path(name).parts[-3:])}:{line}" for name, line in place]
    return " < ".join(lines) or "a backward pass"
