"""Tables on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; cells that are not strings are printed as JSON."""
    table = Table(title=escape(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(value if isinstance(value, str) else json.dumps(value)) for value in row))
    # Redirected output keeps whole lines: nothing is folded to 80 columns there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
