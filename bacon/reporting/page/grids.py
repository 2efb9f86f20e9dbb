"""Tables arranged for reading (:class:`bacon.reporting.tables.markup.Grid`) as tables of the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bacon.reporting.page.views import Column, Table, Value
from bacon.reporting.tables.markup import ITSELF, MISSING, UNDEFINED, Grid

if TYPE_CHECKING:
    from bacon.reporting.page.contents import ReportTable

# A number with whatever belongs to it after it: `90.7 [90.0, 91.4] (15)`, `+3.1*`, `< 0.001`.
_NUMBER = re.compile(r"[<>≥≤ ]*([+\-\N{MINUS SIGN}]?\d+(?:\.\d+)?(?:e[+\-]?\d+)?)(?![\w/.-])")


def grid_tables(name: str, table: ReportTable) -> list[Table]:
    """The parts of a table; notes that all of them share stand once, beneath the last.

    Args:
        name: unique in the page.
        table: with its parts.
    """
    shared = all(tuple(notes) == tuple(table.notes) for _, notes in table.grids)
    last = len(table.grids) - 1
    return [
        _table(f"{name}-{place}", grid, () if shared and place < last else tuple(notes))
        for place, (grid, notes) in enumerate(table.grids)
    ]


def _table(name: str, grid: Grid, notes: tuple[str, ...]) -> Table:
    columns = [[row[place] for row in grid.rows] for place in range(len(grid.columns))]
    numeric = [place > 0 and _is_numeric(texts) for place, texts in enumerate(columns)]
    return Table(
        name=name,
        title=grid.title,
        groups=grid.groups,
        columns=tuple(Column(title=title, numeric=is_one) for title, is_one in zip(grid.columns, numeric, strict=True)),
        rows=tuple(
            tuple(
                Value(text=text, sort=number(text) if is_one else None)
                for text, is_one in zip(row, numeric, strict=True)
            )
            for row in grid.rows
        ),
        notes=notes,
    )


def _is_numeric(texts: list[str]) -> bool:
    """Whether every entry is missing or begins with a number, and one of them does."""
    found = [number(text) for text in texts if text.strip() not in ("", MISSING, UNDEFINED, ITSELF)]
    return bool(found) and None not in found


def number(text: str) -> float | None:
    """The number that an entry begins with; ``None`` where it begins with none."""
    found = _NUMBER.match(text)
    return float(found[1].replace("\N{MINUS SIGN}", "-")) if found else None
