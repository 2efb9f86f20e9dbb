"""Which methods no other one beats in accuracy and cost together, for every kind of cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bacon.reporting.collect.comparisons import ALPHA, PLACE
from bacon.reporting.collect.costs import evaluation_costs
from bacon.reporting.collect.distilled_files import STORAGE
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.statistics import holm, paired

FRONT, NOISE, BEATEN, UNTESTED, UNKNOWN = "front", "within noise", "beaten", "untested", ""
"""How a method stands: no other one beats it; one does, but none significantly; one does significantly; one does, and nothing
can be tested; its cost or accuracy is unknown."""
WITHIN_NOISE = (
    "of the methods that cost no more none is significantly more accurate (two-sided paired t test over common distillation "
    f"seeds, p < {ALPHA:g}, adjusted by Holm for all that cost no more)"
)
"""What ``NOISE`` is, in words."""
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CostAxis:
    """A kind of cost."""

    name: str
    """Column of :func:`pareto_points`."""
    what: str
    unit: str
    which: str = ""
    """What tells it from another cost of its kind; empty: nothing."""
    factor: float = 1.0
    """What a value is multiplied with to be in the unit."""

    @property
    def short(self) -> str:
        """Its name beneath a heading that says what it is: ``networks shared (s)``."""
        return f"{self.which} ({self.unit})" if self.which else self.unit

    @property
    def title(self) -> str:
        """Its whole name: ``Time, networks shared (s)``."""
        return f"{self.what}, {self.which} ({self.unit})" if self.which else f"{self.what} ({self.unit})"


_SHARED, _ALONE = "networks shared", "networks alone"
AXES = (
    CostAxis("seconds_shared", "Time", "s", _SHARED),
    CostAxis("seconds_alone", "Time", "s", _ALONE),
    CostAxis("joules_alone", "Energy", "kJ", _ALONE, 1e-3),
    CostAxis("peak_memory_mib", "Peak memory", "MiB"),
    CostAxis("total_bytes", "Storage", "KiB", factor=1 / 1024),
    CostAxis("evaluation_images", "Evaluation", "images", "steps \N{MULTIPLICATION SIGN} batch"),
)


def dominated_by(costs: npt.ArrayLike, accuracies: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """(n, n) bool: whether point i (row) beats point j (column): it costs no more, is no less accurate, and not equal in both.

    A point with a missing cost or accuracy beats none and is beaten by none.
    """
    cost, accuracy = np.asarray(costs, np.float64), np.asarray(accuracies, np.float64)
    cheaper, better = cost[:, None] <= cost[None, :], accuracy[:, None] >= accuracy[None, :]
    strictly = (cost[:, None] < cost[None, :]) | (accuracy[:, None] > accuracy[None, :])
    return np.asarray(cheaper & better & strictly)


def pareto_front(costs: npt.ArrayLike, accuracies: npt.ArrayLike) -> list[int]:
    """Indices of the points that no other one beats, by cost; points that are equal in both are on it together."""
    cost, accuracy = np.asarray(costs, np.float64), np.asarray(accuracies, np.float64)
    front = ~dominated_by(cost, accuracy).any(axis=0) & ~np.isnan(cost) & ~np.isnan(accuracy)
    return [int(index) for index in np.argsort(cost, kind="stable") if front[index]]


def standing(costs: npt.ArrayLike, accuracies: npt.ArrayLike, p: Matrix) -> list[str]:
    """How each point stands: ``FRONT``, ``NOISE``, ``BEATEN``, ``UNTESTED`` or ``UNKNOWN``.

    A point is compared with all that cost no more, which does not depend on accuracies: its p values are adjusted for them
    (Holm), and it is beaten where one of those that are more accurate differs significantly.

    Args:
        costs: (n,), NaN where unknown.
        accuracies: (n,) means.
        p: (n, n) p values of the difference in accuracy of every pair; NaN: no test.
    """
    cost, accuracy = np.asarray(costs, np.float64), np.asarray(accuracies, np.float64)
    beats = dominated_by(cost, accuracy)
    cheaper = cost[:, None] <= cost[None, :]
    np.fill_diagonal(cheaper, val=False)
    adjusted = np.full_like(p, np.nan)
    for point in range(len(cost)):
        adjusted[cheaper[:, point], point] = holm(p[cheaper[:, point], point])
    known = ~(np.isnan(cost) | np.isnan(accuracy))
    return [_standing(adjusted[beats[:, point], point]) if known[point] else UNKNOWN for point in range(len(cost))]


def _standing(p: Matrix) -> str:
    """Of a point, by the p values against those that beat it."""
    if len(p) == 0:
        return FRONT
    if np.isnan(p).all():
        return UNTESTED
    return BEATEN if np.nanmin(p) < ALPHA else NOISE


def pareto_points(summary: pd.DataFrame, cost: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and every cost of each method, and how it stands for each.

    Args:
        summary: rows of :func:`bacon.reporting.collect.summary.summarise`.
        cost: rows of :func:`bacon.reporting.tables.cost_tables.summarise_cost`.
        accuracy: rows that the summary was made from.

    Returns:
        One row per data set, evaluation network, IPC and method, in the order of ``summary``. Columns: dataset, dataset_title,
        network, ipc, method, method_title, n, mean_percent, ci_low, ci_high, the costs of :data:`AXES` in seconds, joules, MiB,
        bytes and images, image_bytes, label_bytes, decoder_bytes, teacher_bytes, evaluation_seconds, evaluation_steps,
        joules_shared, energy_least_share, device, and ``front_NAME`` for each cost, as :func:`standing` says it.
    """
    points = summary.loc[summary["method"] != FULL, [*_SHOWN]]
    points = points.merge(_costs(cost), on=["dataset", "method", "ipc"], validate="many_to_one")
    points = points.merge(evaluation_costs(accuracy), on=["dataset", "method", *PLACE[1:]], validate="one_to_one")
    points["total_bytes"] = points[[*STORAGE, "teacher_bytes"]].sum(axis=1)
    points = points[[*_SHOWN, *(axis.name for axis in AXES), *STORAGE, *_FURTHER]]
    stands = [_stands(group, accuracy) for _, group in points.groupby(PLACE, sort=False)]
    return points.join(pd.concat(stands)) if stands else points


_SHOWN = (
    "dataset", "dataset_title", "network", "ipc", "method", "method_title", "n", "mean_percent", "ci_low", "ci_high",
)  # fmt: skip
_FURTHER = ("teacher_bytes", "evaluation_seconds", "evaluation_steps", "joules_shared", "energy_least_share", "device")


def _costs(cost: pd.DataFrame) -> pd.DataFrame:
    """The measures of sets under the names of the axes: means over distillation seeds."""
    names = [*(axis.name for axis in AXES), "joules_shared"]
    measured = {f"{name}_mean": name for name in names if f"{name}_mean" in cost}
    own = ["dataset", "method", "ipc", *measured, *STORAGE, "energy_least_share", "device"]
    return cost[own].rename(columns=measured).astype({"ipc": "Int64"})


def _stands(group: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """Columns ``front_NAME`` of the methods of one data set, network and IPC."""
    p = pair_p_values(seed_means(group, accuracy))
    return pd.DataFrame(
        {f"front_{axis.name}": standing(group[axis.name], group["mean_percent"], p) for axis in AXES}, index=group.index
    )


def seed_means(group: pd.DataFrame, accuracy: pd.DataFrame) -> Matrix:
    """(seeds, methods) mean accuracy of each distillation seed, methods in the order of ``group``; NaN: no such seed."""
    first = group.iloc[0]
    own = accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    own = own[
        (own["dataset"] == first["dataset"]) & (own["network"] == first["network"]) & (own["ipc"] == first["ipc"])
    ]
    means = own.pivot_table(index="seed", columns="method", values="test_accuracy_percent", aggfunc="mean")
    found: Matrix = means.reindex(columns=list(group["method"])).to_numpy(np.float64, na_value=np.nan)
    return found


def pair_p_values(means: Matrix) -> Matrix:
    """P values of the paired t test of every pair of methods, not adjusted.

    Args:
        means: (seeds, methods) seed means; NaN where a method lacks a seed.

    Returns:
        (methods, methods), symmetric; NaN on the diagonal and where :func:`bacon.reporting.collect.statistics.paired` has no
        test, and for methods without a common seed.
    """
    methods = means.shape[1]
    found = np.full((methods, methods), np.nan)
    for one, other in combinations(range(methods), 2):
        common = means[~np.isnan(means[:, one] + means[:, other])]
        if len(common):
            found[one, other] = found[other, one] = paired(common[:, one], common[:, other]).p
    return found


def told_apart(points: pd.DataFrame) -> list[CostAxis]:
    """The costs that tell methods apart: known of two at least, not the same for all, and no repetition of another one.

    Where none does, it is the time, so that a table or figure shows one. Where no method needs networks trained beforehand,
    titles do not speak of them.

    Args:
        points: rows of :func:`pareto_points` of one data set, network and IPC, or of several.
    """
    found: list[CostAxis] = []
    for axis in AXES:
        values = points[axis.name].astype("float64")
        differs = points.assign(value=values).groupby(PLACE)["value"].nunique().gt(1).any()
        if differs and not any(_same(values, points[other.name]) for other in found):
            found.append(axis)
    found = found or [AXES[0]]
    if _same(points["seconds_shared"], points["seconds_alone"]):
        return [replace(axis, which="") if axis.which in (_SHARED, _ALONE) else axis for axis in found]
    return found


def _same(values: pd.Series[Any], others: pd.Series[Any]) -> bool:
    return bool(np.allclose(values.astype("float64"), others.astype("float64"), rtol=1e-9, atol=0, equal_nan=True))


def left_out_note(points: pd.DataFrame, shown: Sequence[CostAxis]) -> str:
    """Why costs are not among those shown; empty where all are."""
    reasons, names = [], {axis.name for axis in shown}
    for axis in AXES:
        if axis.name in names or (axis.name == "seconds_alone" and _same(points[axis.name], points["seconds_shared"])):
            continue
        values = points[axis.name].astype("float64")
        if values.isna().all():
            reason = "unknown: no device told it" if axis.name.startswith("joules") else "unknown"
        else:
            reason = "the same for all methods, or known of one alone"
        reasons.append(f"{axis.what}, {reason}")
    return f"Left out: {'; '.join(reasons)}." if reasons else ""
