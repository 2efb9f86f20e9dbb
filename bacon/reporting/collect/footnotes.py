"""Marks beside published numbers of which something is known, one for each reason, and the lines that explain them."""

from __future__ import annotations

from collections.abc import Iterable

_MARKS = "†‡§¶‖"


class Footnotes:
    """The reasons of a table's numbers, in the order in which they first appear.

    Args:
        notes: of every number of the table; an empty one stands for a number without.
    """

    def __init__(self, notes: Iterable[str]) -> None:
        reasons = dict.fromkeys(note for note in notes if note)
        self._marks = {reason: _mark(place) for place, reason in enumerate(reasons)}

    def mark(self, note: str) -> str:
        """What stands beside a number with this note: †, ‡, §, ¶ or ‖, then these doubled, trebled...; empty for none."""
        return self._marks[note] if note else ""

    def lines(self) -> list[str]:
        """What each mark means, a line each."""
        return [f"{mark} {reason}." for reason, mark in self._marks.items()]


def _mark(place: int) -> str:
    return _MARKS[place % len(_MARKS)] * (place // len(_MARKS) + 1)
