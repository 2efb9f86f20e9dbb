"""DD-Ranking's scores of every method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bacon.evaluation.scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from bacon.reporting.collect.protocol_text import FULL
from bacon.runtime.errors import BaconError

RANDOM = "random"
PLAIN = "none"
SCORES = ("hlr", "ior", "lrs", "ars")
_KEYS = ["dataset", "dataset_title", "network"]


def rank(networks: pd.DataFrame) -> pd.DataFrame:
    """DD-Ranking's scores: one row per data set, network, method and IPC, best LRS first within a data set, network and IPC.

    Each distillation seed gives its scores from the means over evaluation seeds; random images are those of the same seed. HLR
    compares networks trained without augmentation; IOR those with the augmentation that the validation split
    prefers, for the method and for random images separately; ARS those with and those without.

    Args:
        networks: rows of ``evaluations.collect_networks``, with the augmentation "none", at least one other,
            and validation accuracies.

    Returns:
        Columns: dataset, dataset_title, network, method, method_title, ipc, n (distillation seeds), evaluation_seeds, for each
        score its mean and sample standard deviation over the n (hlr_mean, hlr_sd, ..., differences of fractions), the mean
        accuracies they are made of (fractions: real_plain, plain, augmented, random_plain, random_augmented), augmentation
        and random_augmentation (chosen on validation), and protocol.

    Raises:
        BaconError: random images, the full data set or validation accuracies are missing.
    """
    final = networks[networks["final"]]
    if final["validation_accuracy_percent"].isna().any():
        raise BaconError("DD-Ranking's scores choose on a validation split: set data.NAME.validation of every data set")
    rows = [row for _, group in final.groupby(_KEYS, sort=False) for row in _rows(group)]
    table = pd.DataFrame(rows)
    order = [*_KEYS, "ipc", "lrs_mean"]
    places = table.assign(**{key: table[key].map({v: i for i, v in enumerate(table[key].unique())}) for key in _KEYS})
    return table.loc[places.sort_values(order, ascending=[True] * 4 + [False], kind="stable").index].reset_index(
        drop=True
    )


def _rows(group: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of one data set and network."""
    first = group.iloc[0]
    real = group[(group["method"] == FULL) & (group["augmentation"] == PLAIN)]["test_accuracy_percent"].mean() / 100
    cells = dict(iter(group[group["method"] != FULL].groupby(["method", "ipc"], sort=False)))
    for (method, ipc), cell in cells.items():
        if method == RANDOM:
            continue
        random = cells.get((RANDOM, ipc))
        if random is None or np.isnan(real):
            raise BaconError(
                f"DD-Ranking's scores of {method} on {first['dataset']}, IPC {ipc}, also need random images and "
                f"the full data set, evaluated with augmentation {PLAIN!r} too: add {RANDOM!r} to grid.methods"
            )
        yield {key: first[key] for key in _KEYS} | _scores(real, cell, random)


def _scores(real: float, cell: pd.DataFrame, random: pd.DataFrame) -> dict[str, Any]:
    own, other = _by_seed(cell), _by_seed(random)
    common = own.index.intersection(other.index)
    best, random_best = _preferred(cell), _preferred(random)
    augmented = [name for name in own.columns if name != PLAIN]
    scores: dict[str, list[float]] = {name: [] for name in SCORES}
    for seed in common:
        mine, theirs = own.loc[seed], other.loc[seed]
        gains = {name: improvement_over_random(mine[name], theirs[name]) for name in own.columns}
        hlr = hard_label_recovery(real, mine[PLAIN])
        ior = improvement_over_random(mine[best], theirs[random_best])
        values = (hlr, ior, label_robust_score(hlr, ior))
        ars = augmentation_robust_score(float(np.mean([gains[name] for name in augmented])), gains[PLAIN])
        for name, value in zip(SCORES, (*values, ars), strict=True):
            scores[name].append(value)
    first = cell.iloc[0]
    return {
        **{name: first[name] for name in ("method", "method_title", "ipc")},
        "n": len(common),
        "evaluation_seeds": int(cell["evaluation_seed"].nunique()),
        **{f"{name}_mean": float(np.mean(values)) for name, values in scores.items()},
        **{f"{name}_sd": _sd(values) for name, values in scores.items()},
        "real_plain": real,
        "plain": own.loc[common, PLAIN].mean(),
        "augmented": own.loc[common, augmented].to_numpy().mean(),
        "random_plain": other.loc[common, PLAIN].mean(),
        "random_augmented": other.loc[common, augmented].to_numpy().mean(),
        "augmentation": best,
        "random_augmentation": random_best,
        "protocol": first["protocol"],
    }


def _sd(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _by_seed(cell: pd.DataFrame) -> pd.DataFrame:
    """Mean test accuracy (fraction) by distillation seed (rows) and augmentation (columns)."""
    percent = cell.pivot_table(
        index="seed", columns="augmentation", values="test_accuracy_percent", aggfunc="mean", sort=False
    )
    if PLAIN not in percent.columns or len(percent.columns) < 2:
        raise BaconError(
            f"DD-Ranking's scores need evaluations without and with augmentation; evaluation.augmentations has "
            f"{', '.join(percent.columns)}"
        )
    return percent / 100


def _preferred(cell: pd.DataFrame) -> str:
    """The augmentation with the best mean validation accuracy; of equal ones the first."""
    return str(cell.groupby("augmentation", sort=False)["validation_accuracy_percent"].mean().idxmax())
