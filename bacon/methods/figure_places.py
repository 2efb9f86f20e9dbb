"""Every method's place in the figures' sequence of colours and markers, from the records. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from bacon.methods.base import Method


def given_places(methods: Iterable[Method]) -> dict[str, int]:
    """Name of a method -> its place: the one in its record; behind all of these, in the order given, the other methods.

    Those are the methods whose records have no place, and those whose place an earlier one has, as may happen between packages
    that know nothing of each other.
    """
    places: dict[str, int] = {}
    waiting = []
    for method in methods:
        if method.figure_place is None or method.figure_place in places.values():
            waiting.append(method.name)
        else:
            places[method.name] = method.figure_place
    behind = max(places.values(), default=-1) + 1
    return places | {name: behind + turn for turn, name in enumerate(waiting)}
