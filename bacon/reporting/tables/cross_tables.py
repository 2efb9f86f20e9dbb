"""Accuracies by evaluation network, arranged for reading."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.tables.markup import MISSING, Grid


def cross_architecture(summary: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of every distilled set with every evaluation network: the summary without its published columns.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc, network, network_text, mean_percent, sd_percent,
        sd_distillation, sd_evaluation, ci_low, ci_high, n, protocol.
    """
    columns = [
        "dataset", "dataset_title", "method", "method_title", "ipc", "network", "network_text", "mean_percent",
        "sd_percent", "sd_distillation", "sd_evaluation", "ci_low", "ci_high", "n", "protocol",
    ]  # fmt: skip
    return summary[columns].reset_index(drop=True)


def cross_grids(table: pd.DataFrame) -> list[Grid]:
    """One grid per data set and IPC: methods down, evaluation networks across; the full data set first."""
    grids = []
    for (_, ipc), group in table[table["ipc"].notna()].groupby(["dataset", "ipc"], sort=False):
        full = table[(table["dataset"] == group["dataset"].iloc[0]) & (table["method"] == FULL)]
        rows = pd.concat([full, group])
        networks = list(dict.fromkeys(rows["network"]))
        grids.append(
            Grid(
                title=f"{group['dataset_title'].iloc[0]}, IPC {ipc}: accuracy by evaluation network",
                groups=tuple((str(network), 1) for network in networks),
                columns=("Method", *("" for _ in networks)),
                rows=tuple(_cross_row(of_method, networks) for _, of_method in rows.groupby("method", sort=False)),
            )
        )
    return grids


def _cross_row(of_method: pd.DataFrame, networks: list[str]) -> tuple[str, ...]:
    by_network = {row["network"]: row for _, row in of_method.iterrows()}
    return (str(of_method["method_title"].iloc[0]), *(_cross_text(by_network.get(name)) for name in networks))


def _cross_text(row: pd.Series[Any] | None) -> str:
    if row is None:
        return MISSING
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.1f}, {row['ci_high']:.1f}]"
    return f"{row['mean_percent']:.1f}{interval}"


def cross_notes(table: pd.DataFrame) -> list[str]:
    """Notes below the table of evaluation networks."""
    counts = table["n"]
    n = str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    texts = table[["network", "network_text"]].drop_duplicates()
    named = "; ".join(f"{name}: {text}" for name, text in texts.itertuples(index=False, name=None))
    return [f"Test accuracy in percent, mean [95 % confidence interval] over n = {n} networks. Networks: {named}."]
