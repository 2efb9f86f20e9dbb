"""Grids onto a terminal and into files; what is too wide for a page or a terminal is broken between groups of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from bacon.reporting.tables.marks import own_marks
from bacon.reporting.tables.markup import Grid, latex, markdown
from bacon.runtime.atomic import write_text
from bacon.runtime.errors import BaconError

# Characters of a LaTeX table's row, as `fitting` counts them, that a portrait page of an article holds in its small font.
PAGE_WIDTH = 105
PAGE_ROWS = 45


def rich_table(grid: Grid, title: str) -> Table:
    """The grid for a terminal."""
    spans = [group for group, width in grid.groups for _ in range(width)]
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    table.add_column(grid.columns[0])
    for group, name in zip(spans, grid.columns[1:], strict=True):
        table.add_column(Text(f"{group}\n{name}"), justify="right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def fitting(grid: Grid, width: int) -> list[Grid]:
    """The grid in as many parts, each of whole groups of columns, as fit ``width`` characters; a part has at least one."""
    if not grid.groups:
        return [grid]
    lines = [grid.columns, *grid.rows]
    # Three characters a column: its border and the blanks beside the text.
    widths = [max(len(line[i]) for line in lines) + 3 for i in range(len(grid.columns))]
    parts: list[list[int]] = []
    used, start = 0, 1
    for place, (_, span) in enumerate(grid.groups):
        needed = sum(widths[start : start + span])
        if not parts or used + needed > width:
            parts.append([])
            used = widths[0] + 1
        parts[-1].append(place)
        used, start = used + needed, start + span
    return [_part(grid, places) for places in parts]


def pages(grid: Grid) -> list[Grid]:
    """The grid in parts that fit a printed page, in width and height."""
    return [
        replace(part, rows=part.rows[start : start + PAGE_ROWS])
        for part in fitting(grid, PAGE_WIDTH)
        for start in range(0, max(len(part.rows), 1), PAGE_ROWS)
    ]


def _part(grid: Grid, places: Sequence[int]) -> Grid:
    """The first column and those of some groups, which follow each other."""
    first = 1 + sum(span for _, span in grid.groups[: places[0]])
    last = first + sum(grid.groups[place][1] for place in places)
    return Grid(
        title=grid.title,
        groups=tuple(grid.groups[place] for place in places),
        columns=(grid.columns[0], *grid.columns[first:last]),
        rows=tuple((row[0], *row[first:last]) for row in grid.rows),
    )


def write_grids(
    long_form: pd.DataFrame,
    tables: Sequence[tuple[Grid, Sequence[str]]],
    lines: Sequence[str],
    *,
    fingerprint: str,
    outputs: Sequence[Path],
) -> None:
    """Write a table to each output, by suffix.

    Args:
        long_form: the ``.csv``.
        tables: grids for ``.md`` and ``.tex``, each with its own notes (LaTeX captions).
        lines: notes on all of them, beneath the Markdown tables.
        fingerprint: of the aggregate; stands in a comment of the Markdown and LaTeX files.
        outputs: ``.csv``, ``.md`` and ``.tex`` files.

    Raises:
        BaconError: another suffix.
    """
    for output in outputs:
        if output.suffix == ".csv":
            text = long_form.to_csv(index=False, lineterminator="\n")
        elif output.suffix == ".md":
            body = "\n".join(markdown(grid) for grid, _ in tables)
            text = f"<!-- fingerprint: {fingerprint} -->\n{body}\n" + "\n\n".join(lines) + "\n"
        elif output.suffix == ".tex":
            parts = (own_marks(part, own) for grid, own in tables for part in pages(grid))
            body = "\n".join(latex(part, own) for part, own in parts)
            text = f"% fingerprint: {fingerprint}\n% needs \\usepackage{{booktabs}}\n{body}"
        else:
            raise BaconError(
                f"{output}: tables are written as .csv, .md or .tex, not {output.suffix or 'without suffix'}"
            )
        write_text(output, text)
