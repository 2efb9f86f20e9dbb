"""Networks of an evaluation that are trained side by side on a GPU; each is kept as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

from bacon.artifacts.evaluation_records import Record, RecordKey
from bacon.evaluation.train_and_test import Outcome
from bacon.runtime.clocks import Clock, SharedClock
from bacon.runtime.streams import Streams
from bacon.training.loop import DivergedError

Attempt = Record | DivergedError
"""What became of a network."""


def train_side_by_side(
    streams: Streams,
    keys: Iterable[RecordKey],
    begin: Callable[[RecordKey, Clock], Generator[None, None, Outcome]],
    keep: Callable[[RecordKey, Outcome], Record],
    found: dict[RecordKey, Attempt],
) -> None:
    """Train and test the networks of ``keys``, as many at a time as there are places; none depends on the others.

    Args:
        streams: the places.
        keys: the networks; whichever is next takes a place that is free.
        begin: a network's :func:`bacon.evaluation.train_and_test.trial`, timed by a clock; called on the current stream, so
            that what it makes, such as training images that several networks share, is there for every place.
        keep: makes a finished network's record and keeps it; the device has finished with it.
        found: takes each attempt as it ends, and so holds those that had ended where an error ends the others.
    """
    clock = SharedClock()

    def piece(key: RecordKey) -> Iterator[None]:
        trial = begin(key, clock)

        def work() -> Iterator[None]:
            try:
                found[key] = keep(key, (yield from trial))
            except DivergedError as error:
                found[key] = error

        return work()

    streams.run(piece(key) for key in keys)
