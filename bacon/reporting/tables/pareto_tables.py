"""Which methods no other one beats in accuracy and cost together, arranged for reading."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bacon.reporting.collect.pareto import (
    FRONT,
    NOISE,
    PLACE,
    UNTESTED,
    WITHIN_NOISE,
    CostAxis,
    left_out_note,
    pareto_points,
    told_apart,
)
from bacon.reporting.collect.protocol_text import protocol_note
from bacon.reporting.tables.cost_tables import SHARED_MARK, shared_mark, three_digits
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.protocol_tables import interval_text
from bacon.reporting.tables.report_table import ReportTable

_MARKS = {FRONT: " *", NOISE: " ~", UNTESTED: " ?"}


def pareto_table(summary: pd.DataFrame, cost: pd.DataFrame, accuracy: pd.DataFrame) -> ReportTable:
    """The table ``pareto``; arguments as for :func:`bacon.reporting.collect.pareto.pareto_points`."""
    frame = pareto_points(summary, cost, accuracy)
    lines = pareto_notes(frame, accuracy)
    return ReportTable(
        title="Accuracy against every cost",
        frame=frame,
        notes=lines,
        grids=[(grid, lines) for grid in pareto_grids(frame)],
    )


def pareto_notes(points: pd.DataFrame, accuracy: pd.DataFrame) -> list[str]:
    """Notes below the table."""
    energy = (
        f" {SHARED_MARK}: energy of a device that the jobs did not have for themselves, or did not say that they had."
    )
    known = points["joules_alone"].notna().any()
    left_out = left_out_note(points, told_apart(points))
    return [
        "Test accuracy in percent, mean [95 % confidence interval] (n), and costs, means over distillation seeds. *: on the "
        "Pareto front of accuracy and this cost: no other method is at least as good in both and better in one. ~: "
        f"beaten within noise: {WITHIN_NOISE}. ?: beaten by the means, and nothing can be tested, as with one seed. Costs are "
        "compared by their means.",
        "Time and energy: of distillation and of networks trained beforehand, divided among the sets of this grid that they "
        "were trained for (shared) or borne by this set alone. Storage: images, labels, decoder and teachers of one set."
        + (energy if known else ""),
        *([left_out] if left_out else []),
        f"Protocol: {protocol_note(accuracy[accuracy['final']])}.",
    ]


def pareto_grids(points: pd.DataFrame) -> list[Grid]:
    """A grid per data set, network and IPC, with the costs that tell its methods apart."""
    several = points["network"].nunique() > 1
    return [
        _grid(group, f"{network}, " if several else "") for (_, network, _), group in points.groupby(PLACE, sort=False)
    ]


def _grid(group: pd.DataFrame, network: str) -> Grid:
    axes = told_apart(group)
    return Grid(
        title=f"{group['dataset_title'].iloc[0]}, {network}IPC {group['ipc'].iloc[0]}: accuracy against every cost",
        groups=(),
        columns=("Method", "Accuracy (%)", *(axis.title for axis in axes)),
        rows=tuple(_row(row, axes) for _, row in group.iterrows()),
    )


def _row(row: pd.Series[Any], axes: list[CostAxis]) -> tuple[str, ...]:
    accuracy = f"{interval_text(row['mean_percent'], row['ci_low'], row['ci_high'])} ({row['n']})"
    return (str(row["method_title"]), accuracy, *(_cell(row, axis) for axis in axes))


def _cell(row: pd.Series[Any], axis: CostAxis) -> str:
    value = float(row[axis.name])
    if math.isnan(value):
        return MISSING
    mark = shared_mark(row) if axis.name.startswith("joules") else ""
    return three_digits(value * axis.factor) + mark + _MARKS.get(row[f"front_{axis.name}"], "")
