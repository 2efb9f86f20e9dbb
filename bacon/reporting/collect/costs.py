"""What a distilled set costs besides its own distillation: networks trained for it beforehand, and training on it.

A network trained beforehand may serve many sets. Its cost is given twice: *alone*, as if the set were the only one and
had to bear all of it, and *shared*, divided evenly among the sets of the grid that it was trained for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bacon.reporting.collect.evaluations import ExpectedEvaluation, read_evaluation
from bacon.reporting.collect.protocol_text import FULL

CELL = ["dataset", "method", "ipc", "seed"]
KINDS = ("training", "teacher")
"""Networks that a set was distilled with, and those that label the batches of its evaluation and were not among them."""
PRIOR = tuple(f"{kind}_{unit}_{how}" for kind in KINDS for unit in ("seconds", "joules") for how in ("alone", "shared"))
"""Columns of what networks trained beforehand cost."""
TOTALS = ("seconds_alone", "seconds_shared", "joules_alone", "joules_shared")
"""Columns of distillation and networks trained beforehand together."""
LEAST_ALONE = 0.9
"""With less than this share of a device's use, energy is marked as that of a shared device."""

Costs = Mapping[str, Mapping[str, Sequence[float | None]]]
"""``bacon.artifacts.trained_runs.training_costs``: fingerprint -> seconds, joules and shares of each run."""
CellKey = tuple[str, str, int, int]


def teacher_costs(expected: Sequence[ExpectedEvaluation], accuracy: pd.DataFrame) -> dict[CellKey, Costs]:
    """(Data set, method, IPC, seed) -> what the teachers of its evaluation cost, of cells that have teachers.

    Args:
        expected: the evaluation files of ``accuracy``.
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
    """
    taught = accuracy.loc[(accuracy["teacher_bytes"] > 0) & (accuracy["method"] != FULL), CELL].drop_duplicates()
    wanted = {tuple(row) for row in taught.itertuples(index=False)}
    found: dict[CellKey, Costs] = {}
    for one in expected:
        if one.ipc is None or one.seed is None:
            continue
        # Whatever the evaluation network, the teachers are the cell's.
        key = (one.dataset, one.method, one.ipc, one.seed)
        if key in wanted and key not in found:
            found[key] = read_evaluation(one).get("training_costs", {})
    return found


def with_prior(cost: pd.DataFrame, teachers: Mapping[CellKey, Costs] | None = None) -> pd.DataFrame:
    """The cost of each set with that of the networks trained beforehand, and both together.

    Args:
        cost: one row per set, with ``trainings`` (JSON of :data:`Costs`), ``fingerprint``, ``wall_seconds``,
            ``energy_joules`` and ``energy_share``.
        teachers: of :func:`teacher_costs`.

    Returns:
        ``cost`` without ``trainings``, with the columns :data:`PRIOR`, :data:`TOTALS` (joules missing where any part of them is
        unknown) and ``energy_least_share``, the smallest share of the device's use of any part; missing where unknown.
    """
    runs = [_runs(row, (teachers or {}).get(tuple(row[name] for name in CELL), {})) for _, row in cost.iterrows()]
    users: dict[tuple[str, int], set[str]] = defaultdict(set)
    for own, fingerprint in zip(runs, cost["fingerprint"], strict=True):
        for run in own:
            users[run["training"], run["run"]].add(fingerprint)
    prior = pd.DataFrame([_prior(own, users) for own in runs], index=cost.index)
    found = cost.drop(columns="trainings").join(prior)
    for unit, own_cost in (("seconds", "wall_seconds"), ("joules", "energy_joules")):
        for how in ("alone", "shared"):
            found[f"{unit}_{how}"] = found[own_cost] + sum(found[f"{kind}_{unit}_{how}"] for kind in KINDS)
    # A share that is unknown anywhere is unknown; numpy's minimum says so.
    found["energy_least_share"] = np.minimum(found["energy_share"], found["energy_least_share"])
    return found


def _runs(row: pd.Series[Any], teachers: Costs) -> list[dict[str, Any]]:
    """Every run that a set needs, once: those of its distillation, then the teachers' that are not among them."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for kind, costs in zip(KINDS, (json.loads(row["trainings"]), teachers), strict=True):
        for training, values in costs.items():
            for run, (seconds, joules, share) in enumerate(
                zip(values["seconds"], values["joules"], values["shares"], strict=True)
            ):
                one = {
                    "kind": kind,
                    "training": training,
                    "run": run,
                    "seconds": seconds,
                    "joules": joules,
                    "share": share,
                }
                found.setdefault((training, run), one)
    return list(found.values())


def _prior(runs: Sequence[Mapping[str, Any]], users: Mapping[tuple[str, int], set[str]]) -> dict[str, float]:
    found = dict.fromkeys(PRIOR, 0.0) | {"energy_least_share": 1.0}
    for run in runs:
        count = len(users[run["training"], run["run"]])
        for unit in ("seconds", "joules"):
            value = np.nan if run[unit] is None else float(run[unit])
            found[f"{run['kind']}_{unit}_alone"] += value
            found[f"{run['kind']}_{unit}_shared"] += value / count
        share = np.nan if run["share"] is None else float(run["share"])
        found["energy_least_share"] = float(np.minimum(found["energy_least_share"], share))
    return found


def evaluation_costs(accuracy: pd.DataFrame) -> pd.DataFrame:
    """What it takes to train on a set under the protocol, one row per data set, method, IPC and evaluation network.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.

    Returns:
        Columns: dataset, method, ipc, network, evaluation_seconds (mean wall time of an evaluation seed: training and testing;
        with several augmentations their networks together), evaluation_steps (of the optimiser), evaluation_images (of all
        batches of these steps), teacher_bytes and view_label_bytes.
    """
    final = accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    grouped = final.groupby(["dataset", "method", "ipc", "network"], sort=False).agg(
        evaluation_seconds=("wall_seconds", "mean"),
        evaluation_steps=("evaluation_steps", "max"),
        evaluation_images=("evaluation_images", "max"),
        teacher_bytes=("teacher_bytes", "max"),
        view_label_bytes=("view_label_bytes", "max"),
    )
    return grouped.reset_index()
