"""The best of the evaluated checkpoints, as a validation split chooses it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bacon.reporting.collect.protocol_text import FULL

CHECKPOINTS = "best on validation"
_KEYS = ["dataset", "dataset_title", "network"]


def best_checkpoints(networks: pd.DataFrame) -> pd.DataFrame:
    """The evaluated iteration that is best on validation, for each data set, network, method and IPC; labelled so.

    For each distillation seed the iteration with the highest validation accuracy is taken (mean over the evaluation seeds that
    every iteration has, and over augmentations; of equal ones the earliest). Its test accuracy is reported, and chose nothing.

    Args:
        networks: rows of :func:`bacon.reporting.collect.evaluations.collect_networks`.

    Returns:
        Columns: dataset, dataset_title, network, method, method_title, ipc, selection (what the numbers are), checkpoints
        (how many iterations were compared), iterations (chosen, by distillation seed, joined by spaces), n (distillation
        seeds), evaluation_seeds, test_mean_percent, test_sd_percent (sample standard deviation over the n),
        last_mean_percent and last_sd_percent (the last iteration with the same evaluation seeds), protocol. Empty if
        there is no validation split or no earlier iteration was evaluated.
    """
    usable = networks[networks["validation_accuracy_percent"].notna() & (networks["method"] != FULL)]
    keys = [*_KEYS, "method", "method_title", "ipc"]
    rows = [
        dict(zip(keys, key, strict=True)) | _best(group)
        for key, group in usable.groupby(keys, sort=False)
        if group["iteration"].nunique() > 1
    ]
    return pd.DataFrame(rows, columns=[*keys, *_BEST_COLUMNS])


_BEST_COLUMNS = (
    "selection",
    "checkpoints",
    "iterations",
    "n",
    "evaluation_seeds",
    "test_mean_percent",
    "test_sd_percent",
    "last_mean_percent",
    "last_sd_percent",
    "protocol",
)


def _best(group: pd.DataFrame) -> dict[str, Any]:
    shared = set.intersection(*(set(part["evaluation_seed"]) for _, part in group.groupby("iteration")))
    values = ["validation_accuracy_percent", "test_accuracy_percent"]
    means = group[group["evaluation_seed"].isin(shared)].groupby(["seed", "iteration"])[values].mean().reset_index()
    chosen = means.loc[means.groupby("seed")["validation_accuracy_percent"].idxmax()]
    last = means.loc[means.groupby("seed")["iteration"].idxmax()]
    return {
        "selection": CHECKPOINTS,
        "checkpoints": int(means["iteration"].nunique()),
        "iterations": " ".join(map(str, chosen["iteration"])),
        "n": len(chosen),
        "evaluation_seeds": len(shared),
        "test_mean_percent": chosen["test_accuracy_percent"].mean(),
        "test_sd_percent": chosen["test_accuracy_percent"].std(),
        "last_mean_percent": last["test_accuracy_percent"].mean(),
        "last_sd_percent": last["test_accuracy_percent"].std(),
        "protocol": group["protocol"].iloc[0],
    }
