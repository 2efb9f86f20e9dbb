"""Which methods no other one beats in accuracy and cost together, arranged for reading."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from bacon.reporting.collect.comparisons import PLACE
from bacon.reporting.collect.evaluations import RERUN
from bacon.reporting.collect.pareto_points import (
    AXES,
    FRONT,
    NOISE,
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
from bacon.reporting.tables.writing import fitting, rich_table
from bacon.runtime.errors import BaconError

_MARKS = {FRONT: " *", NOISE: " ~", UNTESTED: " ?"}


def pareto_table(summary: pd.DataFrame, cost: pd.DataFrame, accuracy: pd.DataFrame) -> ReportTable:
    """The table ``pareto``; arguments as for :func:`bacon.reporting.collect.pareto_points.pareto_points`."""
    frame = pareto_points(summary, cost, accuracy)
    lines = pareto_notes(frame, accuracy)
    return ReportTable(
        title="Accuracy against every cost",
        frame=frame,
        notes=lines,
        grids=[(grid, lines) for grid in pareto_grids(frame)],
    )


def terminal_pareto(path: Path, console: Console | None = None) -> None:
    """Print the table again from its CSV; raises :class:`BaconError` where it is missing or another version's.

    Args:
        path: of the CSV.
        console: where to print; standard output by default.
    """
    console = console or Console()
    if not path.is_file():
        raise BaconError(f"{path}: the table does not exist; a grid of several methods has it. {RERUN}")
    points = pd.read_csv(path, keep_default_na=False, na_values=[""])
    missing = [name for axis in AXES for name in (axis.name, f"front_{axis.name}") if name not in points.columns]
    if missing:
        raise BaconError(f"{path}: no column {', '.join(missing)}; another version wrote this table. {RERUN}")
    for grid in pareto_grids(points):
        for part in fitting(_headed(grid), console.width):
            console.print(rich_table(part, part.title))
    console.print(Text(pareto_words(points)[0], style="dim"))


def _headed(grid: Grid) -> Grid:
    """The grid with its columns no narrower than their headings, which a terminal repeats over each."""
    spans = [group for group, width in grid.groups for _ in range(width)]
    names = (name.rjust(len(group)) for group, name in zip(spans, grid.columns[1:], strict=True))
    return replace(grid, columns=(grid.columns[0], *names))


def pareto_notes(points: pd.DataFrame, accuracy: pd.DataFrame) -> list[str]:
    """Notes below the table."""
    return [*pareto_words(points), f"Protocol: {protocol_note(accuracy[accuracy['final']])}."]


def pareto_words(points: pd.DataFrame) -> list[str]:
    """What marks and costs are, and why some are left out."""
    energy = (
        f" {SHARED_MARK}: energy of a device that the jobs did not have for themselves, or did not say that they had."
    )
    left_out = left_out_note(points, told_apart(points))
    return [
        "Test accuracy in percent, mean [95 % confidence interval] (n), and costs, means over distillation seeds. *: on the "
        "Pareto front of accuracy and this cost: no other method is at least as good in both and better in one. ~: beaten "
        f"within noise: {WITHIN_NOISE}. ?: beaten by the means, and nothing can be tested, as with one seed. Costs are "
        "compared by their means.",
        "Time and energy: of distillation and of networks trained beforehand, divided among the sets of this grid that they "
        "were trained for (shared) or borne by this set alone. Storage: images, labels, decoder and teachers of one set."
        + (energy if points["joules_alone"].notna().any() else ""),
        *([left_out] if left_out else []),
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
        groups=(("Accuracy", 1), *((what, len(list(own))) for what, own in groupby(axes, key=lambda axis: axis.what))),
        columns=("Method", "% [interval] (n)", *(axis.short for axis in axes)),
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
