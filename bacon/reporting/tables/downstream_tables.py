"""The table of each downstream task: methods and IPC down, what its record's columns name across."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bacon.reporting.collect.task_results import PLACE, task_summary
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.protocol_tables import interval_text
from bacon.reporting.tables.report_table import ReportTable

if TYPE_CHECKING:
    from bacon.downstream.base import TaskColumn
    from bacon.plan.plan import Plan

_N = (
    "Mean over n repetitions [95 % interval: Student's t over the means of the distillation seeds, over the networks of the "
    "full data set]; without an interval where there are fewer than two. Networks are trained under the protocol {protocol}."
)


def downstream_table(plan: Plan, name: str, absent: Collection[Path] = ()) -> ReportTable:
    """The table of a task; errors as :func:`bacon.reporting.collect.task_results.collect_task`.

    Args:
        plan: of a grid with the task.
        name: of the task.
        absent: files that are not read.
    """
    frame, task = task_summary(plan, name, absent), plan.tasks.task(name)
    lines = [
        *task.notes(plan.tasks.settings(name)),
        _N.format(protocol=plan.config.protocol_title(plan.config.protocol)),
    ]
    columns = plan.tasks.columns(name)
    return ReportTable(
        title=task.title,
        frame=frame,
        notes=lines,
        grids=[(grid, lines) for grid in task_grids(frame, task.title, columns)],
    )


def task_grids(frame: pd.DataFrame, title: str, columns: Sequence[TaskColumn]) -> list[Grid]:
    """A grid for each data set and evaluation network.

    Args:
        frame: rows of :func:`bacon.reporting.collect.task_results.summarise_task`.
        title: of the task.
        columns: of its table; those without any measurement in a grid are left out of it.
    """
    grids = []
    several = frame["network"].nunique() > 1
    for (_, network), group in frame.groupby(["dataset", "network"], sort=False):
        texts = {column: _texts(group, column) for column in columns}
        shown = [column for column in columns if texts[column]]
        where = f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}"
        grids.append(
            Grid(
                title=f"{where}: {title}",
                groups=(),
                columns=("Method", "IPC", *(column.title for column in shown), "n"),
                rows=tuple(
                    (
                        *_names(rows),
                        *(texts[column].get(_place(rows), MISSING) for column in shown),
                        str(rows["n"].max()),
                    )
                    for _, rows in group.groupby(PLACE, sort=False, dropna=False)
                ),
            )
        )
    return grids


def _texts(group: pd.DataFrame, column: TaskColumn) -> dict[tuple[str, str], str]:
    """(Method, IPC) -> the entry of a column."""
    at = group["at"].isna() if column.at is None else (group["at"] - column.at).abs() < 1e-9
    rows = group[(group["metric"] == column.metric) & (group["condition"] == column.condition) & at]
    return {(str(row["method"]), str(row["ipc"])): _text(row, column) for _, row in rows.iterrows()}


def _text(row: pd.Series[Any], column: TaskColumn) -> str:
    mean, low, high = (column.scale * row[name] for name in ("mean", "ci_low", "ci_high"))
    return interval_text(mean, low, high, column.decimals)


def _place(rows: pd.DataFrame) -> tuple[str, str]:
    return str(rows["method"].iloc[0]), str(rows["ipc"].iloc[0])


def _names(rows: pd.DataFrame) -> tuple[str, str]:
    first: pd.Series[Any] = rows.iloc[0]
    return str(first["method_title"]), "" if pd.isna(first["ipc"]) else str(first["ipc"])
