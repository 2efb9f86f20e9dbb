"""A table of a report: its numbers in long form, what they mean, and the same arranged for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bacon.reporting.tables.markup import Grid


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """One table: long form, numeric, one row per thing; missing values where there is nothing."""

    title: str
    frame: pd.DataFrame
    notes: Sequence[str]
    """What the numbers mean, n and protocol: one paragraph each."""
    grids: Sequence[tuple[Grid, Sequence[str]]] = ()
    """The same arranged for reading, each part with its own notes; the table of every network has none."""

    def with_notes(self, lines: Sequence[str]) -> ReportTable:
        """The same with lines before its notes and those of its parts."""
        if not lines:
            return self
        return replace(self, notes=[*lines, *self.notes], grids=[(grid, [*lines, *own]) for grid, own in self.grids])

    @property
    def caption(self) -> str:
        """The notes as one paragraph."""
        return " ".join(self.notes)
