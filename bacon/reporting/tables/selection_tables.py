"""What selecting on the test set would add, arranged for reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from bacon.reporting.collect.absent import COMPLETE, Absent
from bacon.reporting.collect.expected import expected_evaluations
from bacon.reporting.collect.selection import collect_points, selection
from bacon.reporting.tables.markup import Grid
from bacon.reporting.tables.protocol_tables import interval_text
from bacon.reporting.tables.report_table import ReportTable

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

_COLUMNS = (
    "Method", "IPC", "Protocol", "Selected among", "Last", "Chosen on validation", "Best on test (information)", "Optimism",
    "n",
)  # fmt: skip


def selection_table(plan: Plan, networks: Mapping[str, pd.DataFrame], absent: Absent = COMPLETE) -> ReportTable:
    """The table ``selection``.

    Args:
        plan: of a grid with test curves.
        networks: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_networks`.
        absent: results that are not there.
    """
    points = {name: collect_points(absent.without(expected_evaluations(plan.protocols[name]))) for name in networks}
    frame = selection(points, networks, titles={name: plan.config.protocol_title(name) for name in networks})
    lines = selection_notes()
    return ReportTable(
        title="What selecting on the test set would add",
        frame=frame,
        notes=lines,
        grids=[(grid, lines) for grid in selection_grids(frame)],
    )


def selection_grids(table: pd.DataFrame) -> list[Grid]:
    """A grid per data set and network."""
    return [
        Grid(
            title=f"{group['dataset_title'].iloc[0]}, {network}: what selecting on the test set would add",
            groups=(),
            columns=_COLUMNS,
            rows=tuple(_row(row) for _, row in group.iterrows()),
        )
        for (_, network), group in table.groupby(["dataset", "network"], sort=False)
    ]


def _row(row: pd.Series[Any]) -> tuple[str, ...]:
    texts = {
        name: interval_text(
            row[f"{name}_mean"], row[f"{name}_low"], row[f"{name}_high"], 2 if name == "optimism" else 1
        )
        for name in ("last", "validation", "best_test", "optimism")
    }
    return (
        str(row["method_title"]),
        "" if pd.isna(row["ipc"]) else str(row["ipc"]),
        str(row["protocol_title"]),
        f"{row['points']} {row['selected_among']}",
        *texts.values(),
        str(row["n"]),
    )


def selection_notes() -> list[str]:
    """Notes below the table."""
    return [
        "Test accuracy in percent, mean [95 % confidence interval over distillation seeds]. Last: at the end, the result of "
        "every other table. Chosen on validation: at the point that is best on the validation split. Best on test: at the "
        "point that is best on the test set itself; it is information about the practice of selecting there, and no result. "
        "Optimism: best on test minus last, in points. Among the epochs of each network every network has its own best; "
        "among distillation iterations every distillation seed has. n: networks, or distillation seeds."
    ]
