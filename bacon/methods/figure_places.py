"""Every method's place in the figures' sequence of colours and markers, from the records. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from bacon.methods.base import Method
from bacon.runtime.errors import BaconError


def given_places(methods: Iterable[Method]) -> dict[str, int]:
    """Name of a method -> its place: the one in its record, or for records without one those behind, in the order given.

    Raises:
        BaconError: two records have the same place.
    """
    places: dict[str, int] = {}
    taken: dict[int, str] = {}
    waiting = []
    for method in methods:
        if method.figure_place is None:
            waiting.append(method.name)
        elif method.figure_place in taken:
            raise BaconError(
                f"methods {taken[method.figure_place]} and {method.name}: both records have figure_place "
                f"{method.figure_place}, so figures would draw them alike; give the newer one a number that none has"
            )
        else:
            places[method.name] = method.figure_place
            taken[method.figure_place] = method.name
    behind = max(taken, default=-1) + 1
    return places | {name: behind + turn for turn, name in enumerate(waiting)}
