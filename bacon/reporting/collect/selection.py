"""What selecting on the test set would add: the last point of a training, the one that validation chooses, the best on test.

The best on test is information about the practice of selecting on the test set. It is no result, and no other table holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bacon.reporting.collect.evaluations import ExpectedEvaluation, read_evaluation
from bacon.reporting.collect.statistics import PERCENT, POINTS, confidence_interval

EPOCHS, ITERATIONS = "epochs of each network", "distillation iterations"
_KEYS = ["dataset", "dataset_title", "network", "method", "method_title", "ipc"]
# The last point is one of those that the best on test is chosen among.
_POSSIBLE = {"optimism": (0.0, 100.0), "validation_gain": POINTS}
_QUANTITIES = ("last", "validation", "best_test", "optimism", "validation_gain")
COLUMNS = (
    *_KEYS, "protocol", "protocol_title", "points", "selected_among", "n", "distillation_seeds", "evaluation_seeds",
    *(f"{name}_{part}" for name in _QUANTITIES for part in ("mean", "low", "high")),
)  # fmt: skip


def collect_points(expected: Sequence[ExpectedEvaluation]) -> pd.DataFrame:
    """Every point at which a network on the final images was tested, the end among them.

    Returns:
        Columns: dataset, dataset_title, network, method, method_title, ipc, seed, evaluation_seed, augmentation, epoch, last,
        test_percent, validation_percent (missing without a validation split). Networks without points before the end have no
        rows.
    """
    rows = [row for one in expected for row in _points(one)]
    columns = [*_KEYS, "seed", "evaluation_seed", "augmentation", "epoch", "last", "test_percent", "validation_percent"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"ipc": "Int64", "seed": "Int64", "validation_percent": "float64"})


def _points(expected: ExpectedEvaluation) -> Iterator[dict[str, Any]]:
    for record in read_evaluation(expected)["records"]:
        if not record["final"] or not record.get("curve_epochs"):
            continue
        names = {key: getattr(expected, key) for key in (*_KEYS, "seed")}
        shared = names | {key: record[key] for key in ("evaluation_seed", "augmentation")}
        epochs = [*record["curve_epochs"], record["epochs"]]
        test = [*record["curve_test"], record["test_accuracy"]]
        validation = [*record.get("curve_validation", ()), record["validation_accuracy"]]
        for place, epoch in enumerate(epochs):
            held_out = validation[place] if len(validation) == len(epochs) else None
            yield shared | {
                "epoch": epoch,
                "last": place == len(epochs) - 1,
                "test_percent": 100.0 * test[place],
                "validation_percent": None if held_out is None else 100.0 * held_out,
            }


def selection(
    points: Mapping[str, pd.DataFrame], networks: Mapping[str, pd.DataFrame], *, titles: Mapping[str, str]
) -> pd.DataFrame:
    """Last, chosen on validation and best on test, per protocol, data set, network, method and IPC.

    Points are the epochs of each network (``evaluation.test_curve``), of which each network has its own best, as publications
    report it; and, where earlier snapshots were evaluated, the iterations of the distillation, of which each distillation seed
    has its own best, by the mean over the evaluation seeds that all have.

    Args:
        points: protocol -> rows of :func:`collect_points`.
        networks: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_networks`.
        titles: protocol -> its name in tables.

    Returns:
        Columns ``COLUMNS``. For each quantity mean and 95 % interval (Student's t over the means of the distillation seeds;
        over networks for the full data set): ``last``, ``validation`` (missing without a validation split) and ``best_test`` in
        percent; in points ``optimism``, best on test minus last, and ``validation_gain``, chosen on validation minus last.
        ``n``: networks, or distillation seeds where iterations are compared; ``points``: how many are compared at most.
    """
    rows: list[dict[str, Any]] = []
    for protocol, title in titles.items():
        named = {"protocol": protocol, "protocol_title": title}
        for what, table, choose in (
            (EPOCHS, points[protocol], _epochs),
            (ITERATIONS, _iterations(networks[protocol]), _snapshots),
        ):
            for key, group in table.groupby(_KEYS, sort=False, dropna=False):
                place = dict(zip(_KEYS, key, strict=True))
                rows += [place | named | {"selected_among": what} | row for row in _selected(group, choose)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"ipc": "Int64"})


def _iterations(networks: pd.DataFrame) -> pd.DataFrame:
    """Networks of every evaluated iteration as points, where a cell has several."""
    several = networks.groupby(_KEYS, dropna=False)["iteration"].transform("nunique") > 1
    named = networks[several].rename(
        columns={
            "test_accuracy_percent": "test_percent",
            "validation_accuracy_percent": "validation_percent",
            "iteration": "epoch",
            "final": "last",
        }
    )
    return named[named["ipc"].notna()]


_Choose = Callable[[pd.DataFrame], pd.DataFrame]


def _epochs(group: pd.DataFrame) -> pd.DataFrame:
    """A row per network with what each choice gives."""
    return _choices(group, ["seed", "evaluation_seed", "augmentation"])


def _snapshots(group: pd.DataFrame) -> pd.DataFrame:
    """A row per distillation seed, of means over the evaluation seeds that every iteration has."""
    shared = set.intersection(*(set(part["evaluation_seed"]) for _, part in group.groupby("epoch")))
    own = group[group["evaluation_seed"].isin(shared)]
    means = own.groupby(["seed", "epoch", "last"])[["test_percent", "validation_percent"]].mean().reset_index()
    return _choices(means, ["seed"])


def _choices(points: pd.DataFrame, unit: Sequence[str]) -> pd.DataFrame:
    ordered = points.sort_values("epoch", kind="stable")
    groups = ordered.groupby(list(unit), dropna=False, sort=False)
    table = pd.DataFrame({"last": groups["test_percent"].last(), "best_test": groups["test_percent"].max()})
    table["validation"] = np.nan
    if len(ordered) and ordered["validation_percent"].notna().all():
        chosen = groups["validation_percent"].idxmax()  # of equal ones the earliest, as in the table of checkpoints
        table["validation"] = ordered.loc[chosen, "test_percent"].to_numpy()
    table["optimism"] = table["best_test"] - table["last"]
    table["validation_gain"] = table["validation"] - table["last"]
    return table.reset_index()


def _selected(group: pd.DataFrame, choose: _Choose) -> Iterator[dict[str, Any]]:
    chosen = choose(group)
    nested = bool(chosen["seed"].notna().all())
    units = chosen.groupby("seed")[list(_QUANTITIES)].mean() if nested else chosen[list(_QUANTITIES)]
    row: dict[str, Any] = {
        "points": int(group["epoch"].nunique()),
        "n": len(chosen),
        "distillation_seeds": int(chosen["seed"].nunique()),
        "evaluation_seeds": int(group["evaluation_seed"].nunique()),
    }
    for name in _QUANTITIES:
        values = units[name].to_numpy(np.float64)
        low, high = confidence_interval(values, _POSSIBLE.get(name, PERCENT))
        row |= {f"{name}_mean": float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    yield row
