"""A table of a report: its numbers in long form, what they mean, and the same arranged for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    @property
    def caption(self) -> str:
        """The notes as one paragraph."""
        return " ".join(self.notes)
