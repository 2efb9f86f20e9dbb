"""The marks of footnotes in a table that stands alone, such as one of a LaTeX file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from bacon.reporting.collect.footnotes import MARKS, nth_mark
from bacon.reporting.tables.markup import Grid

_NOTE = re.compile(rf"[{MARKS}]+(?= )")
_BEHIND = re.compile(rf"[{MARKS}]+(?=\*?$)")


def own_marks(grid: Grid, notes: Sequence[str]) -> tuple[Grid, list[str]]:
    """A grid whose marks begin with the first one and follow each other row by row, with the notes on it.

    Args:
        grid: a part of a table, with the marks of the whole.
        notes: on the whole. A note that begins with a mark explains it: it is left out where no cell has the mark. Marks that
            no note begins with are left as they are.

    Returns:
        The grid, and its notes: those that explain marks stand together, in the order of the marks.
    """
    explained = {found[0]: note for note in notes if (found := _NOTE.match(note))}
    behind = (_BEHIND.search(cell) for row in grid.rows for cell in row[1:])
    shown = dict.fromkeys(found[0] for found in behind if found and found[0] in explained)
    renamed = {mark: nth_mark(place) for place, mark in enumerate(shown)}

    def own(cell: str) -> str:
        return _BEHIND.sub(lambda found: renamed.get(found[0], found[0]), cell)

    before = list(takewhile(lambda note: note not in explained.values(), notes))
    after = [note for note in notes[len(before) :] if note not in explained.values()]
    explanations = [mark + explained[old].removeprefix(old) for old, mark in renamed.items()]
    rows = tuple((row[0], *map(own, row[1:])) for row in grid.rows)
    return replace(grid, rows=rows), [*before, *explanations, *after]
