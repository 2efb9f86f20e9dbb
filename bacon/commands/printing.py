"""Tables on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from bacon.reporting.collect.absent import Absent

_MOST_LINES = 30


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; cells that are not strings are printed as JSON."""
    table = Table(title=escape(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(value if isinstance(value, str) else json.dumps(value)) for value in row))
    # Redirected output keeps whole lines: nothing is folded to 80 columns there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_absent(absent: Absent) -> None:
    """Name, as a warning, the results that something does without."""
    lines = absent.lines()
    if not lines:
        return
    click.echo(f"incomplete: {absent.counts()} are not there:", err=True)
    for line in lines[:_MOST_LINES]:
        click.echo(f"  {line}", err=True)
    if len(lines) > _MOST_LINES:
        click.echo(f"  and {len(lines) - _MOST_LINES} lines more; `bacon report --partial` lists all of them", err=True)
