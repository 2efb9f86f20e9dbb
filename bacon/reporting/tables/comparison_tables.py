"""Comparisons of methods, and accuracies by evaluation network, arranged for reading."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bacon.reporting.collect.comparisons import ALPHA, FAMILY, METHODS
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.tables.markup import MISSING, UNDEFINED, Grid


def comparison_grids(table: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`bacon.reporting.collect.comparisons.compare_methods`, one grid per family."""
    columns = ("Methods", "IPC", "Difference (points)", "Seeds", "t", "p", "p (Holm)", "d", "g")
    several = table["network"].nunique() > 1
    return [
        Grid(
            title=f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}: {_compared(group)}",
            groups=(),
            columns=columns,
            rows=tuple(_row(row) for _, row in group.iterrows()),
        )
        for (_, network, _), group in table.groupby(FAMILY, sort=False)
    ]


def _compared(family: pd.DataFrame) -> str:
    """What a family compares, in words."""
    base = str(family["family"].iloc[0])
    if base == METHODS:
        return "methods compared"
    ends = ("method", "other")
    titles = [title for end in ends for title in family.loc[family[end] == base, f"{end}_title"]]
    return f"variants compared with {titles[0]}" if titles else f"variants of {base} compared"


def _row(row: pd.Series[Any]) -> tuple[str, ...]:
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:+.1f}, {row['ci_high']:+.1f}]"
    mark = "*" if not pd.isna(row["significant"]) and row["significant"] else ""
    return (
        f"{row['method_title']} \N{MINUS SIGN} {row['other_title']}",
        str(row["ipc"]),
        f"{row['difference_points']:+.1f}{interval}{mark}",
        str(row["seeds"]),
        *(MISSING if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("t",)),
        *(UNDEFINED if row["untested"] else _p(row[name]) for name in ("p", "p_holm")),
        *(MISSING if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("d", "hedges_g")),
    )


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def comparison_notes(table: pd.DataFrame) -> list[str]:
    """What stands beneath the comparisons."""
    if table.empty:
        return ["One method: there is nothing to compare."]
    lines = [
        "Difference of mean test accuracy in percentage points [95 % confidence interval], paired over the distillation seeds "
        "that both methods have; t and p: paired t test, two-sided, on the means of the seeds. p (Holm): adjusted for all "
        f"pairs and IPCs of the table; * where it is below {ALPHA:g}. d: mean over standard deviation of the "
        "differences; g: d with Hedges' correction."
    ]
    reasons = table.loc[table["untested"] != "", "untested"].drop_duplicates()
    return (
        [*lines, f"p is {UNDEFINED}, for no test is possible, with {'; or with '.join(reasons)}."]
        if len(reasons)
        else lines
    )


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
    """What stands beneath the table of evaluation networks."""
    counts = table["n"]
    n = str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    texts = table[["network", "network_text"]].drop_duplicates()
    named = "; ".join(f"{name}: {text}" for name, text in texts.itertuples(index=False, name=None))
    return [f"Test accuracy in percent, mean [95 % confidence interval] over n = {n} networks. Networks: {named}."]
