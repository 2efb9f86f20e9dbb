"""Networks of an evaluation that are trained side by side on a GPU; each is kept as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bacon.artifacts.evaluation_records import Record, RecordKey
from bacon.evaluation.train_and_test import Outcome, trial
from bacon.runtime.clocks import SharedClock
from bacon.runtime.streams import Streams
from bacon.training.loop import DivergedError

Attempt = Record | DivergedError
"""What became of a network."""


def train_side_by_side(
    streams: Streams,
    keys: Iterable[RecordKey],
    arguments: Callable[[RecordKey], Mapping[str, Any]],
    keep: Callable[[RecordKey, Outcome], Record],
    found: dict[RecordKey, Attempt],
) -> None:
    """Train and test the networks of ``keys``, as many at a time as there are places; none depends on the others.

    Args:
        streams: the places.
        keys: the networks; whichever is next takes a place that is free.
        arguments: what :func:`bacon.evaluation.train_and_test.trial` is given; asked for on the current stream, so that what it
            makes, such as training images that several networks share, is there for every place.
        keep: makes a finished network's record and keeps it; the device has finished with it.
        found: takes each attempt as it ends, and so holds those that had ended where an error ends the others.
    """
    clock = SharedClock()

    def piece(key: RecordKey) -> Iterator[None]:
        given = arguments(key)

        def work() -> Iterator[None]:
            try:
                found[key] = keep(key, (yield from trial(**given, clock=clock)))
            except DivergedError as error:
                found[key] = error

        return work()

    streams.run(piece(key) for key in keys)
