"""Results of downstream tasks brought into tidy tables; nothing is used whose fingerprint is not the plan's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bacon.artifacts.downstream_results import TaskRecord, read_task_results
from bacon.reporting.collect.evaluations import RERUN, check_fingerprint
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.statistics import confidence_interval
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell

PLACE = ["dataset", "method", "ipc", "network"]
"""Columns that tell the groups of a table apart."""
WHAT = ["metric", "condition", "at"]
"""Columns that tell the measurements of a group apart."""


def collect_task(plan: Plan, name: str, absent: Collection[Path] = ()) -> pd.DataFrame:
    """One row for each measurement of each repetition.

    Args:
        plan: of a grid with the task.
        name: of the task.
        absent: files that are not read.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc and seed (missing for the full data set), network (empty for
        a task that is run once for each cell), repetition, metric, condition, at (missing for most), value, wall_seconds (of
        the whole repetition), protocol_name, fingerprint.

    Raises:
        BaconError: a file is missing, damaged, of another cell or of another fingerprint.
    """
    places = [
        (cell, network) for cell, network in plan.tasks.places(name) if _path(plan, name, cell, network) not in absent
    ]
    rows = [row for place in places for row in _rows(plan, name, *place)]
    if not rows:
        raise BaconError(f"downstream.{name}: there is no result of any of its cells. {RERUN}")
    return pd.DataFrame(rows).astype({"ipc": "Int64", "seed": "Int64", "at": "float64"})


def _path(plan: Plan, name: str, cell: Cell, network: str) -> Path:
    return plan.directory / cell.downstream_path(name, network)


def read_task(plan: Plan, name: str, cell: Cell, network: str) -> dict[str, Any]:
    """A file of a task, its fingerprint and its cell checked; errors as :func:`collect_task`."""
    path = _path(plan, name, cell, network)
    content = read_task_results(path)
    expected = plan.tasks.fingerprint(name, cell, network)
    check_fingerprint(path, expected=expected, found=content.get("fingerprint"))
    count = plan.tasks.repetitions(name, cell)
    if [record.repetition for record in content["records"]] != list(range(count)):
        raise BaconError(f"{path}: holds {len(content['records'])} repetitions, expected {count}. {RERUN}")
    return content


def task_place(plan: Plan, cell: Cell, network: str) -> dict[str, Any]:
    """What a file of a task is of: the columns dataset, dataset_title, method, method_title, ipc, seed and network."""
    return {
        "dataset": cell.dataset,
        "dataset_title": plan.dataset_title(cell.dataset),
        "method": cell.method,
        "method_title": plan.method_title(cell.method),
        "ipc": cell.ipc,
        "seed": cell.seed,
        "network": network,
    }


def _rows(plan: Plan, name: str, cell: Cell, network: str) -> list[dict[str, Any]]:
    content, place = read_task(plan, name, cell, network), task_place(plan, cell, network)
    records: Sequence[TaskRecord] = content["records"]
    return [
        place
        | {"repetition": record.repetition, "metric": one.metric, "condition": one.condition, "at": one.at}
        | {"value": one.value, "wall_seconds": record.wall_seconds, "protocol_name": content["protocol"]}
        | {"fingerprint": content["fingerprint"]}
        for record in records
        for one in record.measurements
    ]


def summarise_task(table: pd.DataFrame, possible: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """One row for each group and measurement, over its repetitions.

    Args:
        table: rows of :func:`collect_task`.
        possible: metric -> where it lies; others have no bounds.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc, network, metric, condition, at, mean (each distillation seed
        weighs the same), sd (over all n), ci_low, ci_high (95 %, Student's t over the distillation seeds' means; over the
        repetitions for the full data set, which has none; missing with fewer than two), n, distillation_seeds.
    """
    keys = [*PLACE, *WHAT]
    groups = table.groupby(keys, sort=False, dropna=False)
    rows = [_summary(group, possible.get(str(group["metric"].iloc[0]), (-np.inf, np.inf))) for _, group in groups]
    return pd.DataFrame(rows).astype({"ipc": "Int64"})


def _summary(group: pd.DataFrame, possible: tuple[float, float]) -> dict[str, Any]:
    first, values = group.iloc[0], group["value"].to_numpy(np.float64)
    nested = first["method"] != FULL
    units = group.groupby("seed")["value"].mean().to_numpy(np.float64) if nested else values
    low, high = confidence_interval(units, possible)
    names = ("dataset", "dataset_title", "method", "method_title", "ipc", "network", *WHAT)
    return {name: first[name] for name in names} | {
        "mean": float(units.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
        "ci_low": low,
        "ci_high": high,
        "n": len(values),
        "distillation_seeds": int(group["seed"].nunique()),
    }


def task_summary(plan: Plan, name: str, absent: Collection[Path] = ()) -> pd.DataFrame:
    """:func:`summarise_task` of a task of a plan, within the bounds that its columns give; an accuracy is always a fraction."""
    possible = {"accuracy": (0.0, 1.0)} | {column.metric: column.possible for column in plan.tasks.columns(name)}
    return summarise_task(collect_task(plan, name, absent), possible)
