"""Methods under several protocols, arranged for reading."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bacon.methods.registry import METHODS
from bacon.reporting.collect.protocol_matrix import protocol_matrix
from bacon.reporting.collect.protocol_text import FULL, differences
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.report_table import ReportTable

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

UP, DOWN = "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"


def matrix_table(plan: Plan, accuracies: Mapping[str, pd.DataFrame]) -> ReportTable:
    """The table ``protocols``.

    Args:
        plan: of several protocols.
        accuracies: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
    """
    matrix = matrix_of(plan, accuracies)
    lines = matrix_notes(matrix, missing_controls(plan))
    return ReportTable(
        title="Methods under every protocol",
        frame=matrix,
        notes=lines,
        grids=[(grid, lines) for grid in matrix_grids(matrix)],
    )


def matrix_of(plan: Plan, accuracies: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of :func:`bacon.reporting.collect.protocol_matrix.protocol_matrix`, `protocol` of the configuration first."""
    titles = {name: plan.config.protocol_title(name) for name in accuracies}
    methods = {cell.method for cell in (*plan.references, *plan.cells)}
    controls = {name for name in methods if METHODS[plan.config.base_method(name)].is_control}
    return protocol_matrix(in_order(plan, accuracies), titles=titles, controls=controls)


def in_order(plan: Plan, accuracies: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same with the protocol of headline tables first, where it is among them."""
    ordered = dict.fromkeys((plan.headline.config.protocol, *accuracies))
    return {name: accuracies[name] for name in ordered if name in accuracies}


def missing_controls(plan: Plan) -> tuple[str, ...]:
    """Controls of the registry that the grid lacks, by their names in configurations."""
    have = {plan.config.base_method(cell.method) for cell in plan.cells}
    return tuple(name for name, one in METHODS.items() if one.is_control and one.is_distilled and name not in have)


def matrix_grids(table: pd.DataFrame) -> list[Grid]:
    """A grid per data set, network and IPC: methods down, the full data set and controls first, protocols across."""
    several = table["network"].nunique() > 1
    grids = []
    for (_, network, ipc), group in table.groupby(["dataset", "network", "ipc"], sort=False):
        titles = tuple(group["protocol_title"].drop_duplicates())
        methods = controls_first(group)["method"].drop_duplicates()
        rows = {(row["method"], row["protocol_title"]): row for _, row in group.iterrows()}
        grids.append(
            Grid(
                title=f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}, IPC {ipc}: under every protocol",
                groups=tuple((title, 1) for title in titles),
                columns=("Method", *("accuracy, rank" for _ in titles)),
                rows=tuple(_matrix_row(str(method), titles, rows) for method in methods),
            )
        )
    return grids


def controls_first(group: pd.DataFrame) -> pd.DataFrame:
    """Rows of the matrix with the full data set first, then controls, then all else in its order."""
    place = np.where(group["method"] == FULL, 0, np.where(group["control"], 1, 2))
    return group.assign(_place=place).sort_values("_place", kind="stable")


def _matrix_row(method: str, titles: Sequence[str], rows: Mapping[tuple[str, str], pd.Series[Any]]) -> tuple[str, ...]:
    found = [rows.get((method, title)) for title in titles]
    named = next(row for row in found if row is not None)
    name = f"{named['method_title']}{' (control)' if named['control'] and method != FULL else ''}"
    return (name, *(MISSING if row is None else matrix_text(row) for row in found))


def matrix_text(row: pd.Series[Any]) -> str:
    """``45.1 [44.0, 46.2] (15) #3 ↑2*``: mean, interval, n, rank, places against the first protocol, * if beyond the noise."""
    return f"{interval_text(row['mean_percent'], row['ci_low'], row['ci_high'])} ({row['n']}){rank_text(row)}"


def rank_text(row: pd.Series[Any]) -> str:
    """`` #3 ↑2*``; nothing for the full data set."""
    if pd.isna(row["rank"]):
        return ""
    change = 0 if pd.isna(row["rank_change"]) else int(row["rank_change"])
    supported = not pd.isna(row["change_supported"]) and bool(row["change_supported"])
    arrow = f" {UP if change > 0 else DOWN}{abs(change)}" if change else ""
    return f" #{row['rank']}{arrow}{'*' if supported else ''}"


def interval_text(mean: float, low: float, high: float, decimals: int = 1) -> str:
    """``45.1 [44.0, 46.2]``, only the mean without an interval, a dash without either."""
    if math.isnan(mean):
        return MISSING
    return f"{mean:.{decimals}f}" + ("" if math.isnan(low) else f" [{low:.{decimals}f}, {high:.{decimals}f}]")


def _span(values: pd.Series[float]) -> str:
    """``0.86``, or ``0.71 to 0.86`` where they differ in two decimals."""
    return " to ".join(dict.fromkeys((f"{values.min():.2f}", f"{values.max():.2f}")))


def matrix_notes(table: pd.DataFrame, missing: Sequence[str]) -> list[str]:
    """Notes below the matrix."""
    first = table["protocol_title"].iloc[0]
    taus = table[table["kendall_tau"].notna()].groupby("protocol_title", sort=False)["kendall_tau"]
    orders = "; ".join(f"{title} {_span(one)}" for title, one in taus)
    lines = [
        "Test accuracy in percent at the last epoch of networks trained on the final images: mean [95 % confidence interval] "
        "(n networks) #rank. The interval is Student's t over the means of the distillation seeds. Rank 1 is the highest "
        f"mean under a protocol, controls included, without the full data set. {UP}, {DOWN}: places gained or lost against "
        f"{first}. *: with at least one other method the order is reversed beyond the noise: the 95 % intervals of their "
        "paired difference lie on opposite sides of zero.",
    ]
    if orders:
        lines.append(
            f"Kendall's tau-b of the order of methods with that under {first}, over data sets and IPCs: {orders}."
        )
    if missing:
        lines.append(f"Controls that this grid lacks: {', '.join(missing)}.")
    under = table.groupby("protocol_title", sort=False)
    lines += [f"{title}: {differences(one, one['protocol_text'])}." for title, one in under]
    return lines
