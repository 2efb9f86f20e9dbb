"""Marks beside published numbers of which something is known, one for each reason, and the lines that explain them."""

from __future__ import annotations

from collections.abc import Iterable

MARKS = "†‡§¶‖"


class Footnotes:
    """The reasons of a table's numbers, in the order in which they first appear.

    Args:
        notes: of every number of the table; an empty one stands for a number without.
    """

    def __init__(self, notes: Iterable[str]) -> None:
        reasons = dict.fromkeys(note for note in notes if note)
        self._marks = {reason: nth_mark(place) for place, reason in enumerate(reasons)}

    def mark(self, note: str) -> str:
        """What stands beside a number with this note: †, ‡, §, ¶ or ‖, then these doubled, trebled...; empty for none."""
        return self._marks[note] if note else ""

    def lines(self, notes: Iterable[str] | None = None) -> list[str]:
        """What each mark means, a line each.

        Args:
            notes: of the numbers of a part of the table, whose marks alone are explained; by default the whole table's.
        """
        shown = self._marks if notes is None else {note for note in notes if note}
        return [f"{mark} {reason}." for reason, mark in self._marks.items() if reason in shown]


def nth_mark(place: int) -> str:
    """The mark of the reason at a place, from 0."""
    return MARKS[place % len(MARKS)] * (place // len(MARKS) + 1)
