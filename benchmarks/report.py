"""A table on the terminal and the same as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bacon.runtime.atomic import write_json
from bacon.runtime.provenance import commit


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows, one per column of the table, so that any number of figures fits a terminal."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for _ in rows:
        table.add_column(justify="right")
    for key in dict.fromkeys(key for row in rows for key in row):
        table.add_row(key, *(text(row.get(key)) for row in rows))
    Console().print(table)


def text(value: Any) -> str:
    """A figure for people: four significant digits."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def save(path: Path | None, results: dict[str, Any]) -> None:
    """Write the results with the command and the commit, where a file was asked for."""
    if path is not None:
        write_json(path, {"command": sys.argv[1:], "commit": commit(), **results})
