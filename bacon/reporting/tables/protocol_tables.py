"""Methods under several protocols, and what protocols explain of published gaps, arranged for reading."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bacon.methods.registry import METHODS
from bacon.reporting.collect.protocol_gaps import protocol_gaps
from bacon.reporting.collect.protocol_matrix import protocol_matrix
from bacon.reporting.collect.protocol_text import FULL, differences
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.report_table import ReportTable
from bacon.settings.cells import Cell

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

UP, DOWN = "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"
MOST_PAIRS = 40
"""Pairs of methods in the table for reading, those with the largest published gaps first; the CSV has all."""


def protocol_tables(
    plan: Plan, accuracies: Mapping[str, pd.DataFrame], results: PublishedResults
) -> dict[str, ReportTable]:
    """The tables ``protocols`` and ``protocol_gaps``.

    Args:
        plan: of several protocols.
        accuracies: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        results: published accuracies.
    """
    matrix = matrix_of(plan, accuracies)
    gaps = protocol_gaps(
        in_order(plan, accuracies),
        results,
        lambda dataset, method, ipc: plan.published_protocol(Cell(dataset, method, ipc, 0)),
    )
    lines, gap_lines = matrix_notes(matrix, missing_controls(plan)), gap_notes(gaps)
    titles = {name: plan.config.protocol_title(name) for name in accuracies}
    return {
        "protocols": ReportTable(
            title="Methods under every protocol",
            frame=matrix,
            notes=lines,
            grids=[(grid, lines) for grid in matrix_grids(matrix)],
        ),
        "protocol_gaps": ReportTable(
            title="What protocols explain of published gaps",
            frame=gaps,
            notes=gap_lines,
            grids=[(grid, gap_lines) for grid in gap_grids(gaps, titles)],
        ),
    }


def matrix_of(plan: Plan, accuracies: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of :func:`bacon.reporting.collect.protocol_matrix.protocol_matrix`, `protocol` of the configuration first."""
    titles = {name: plan.config.protocol_title(name) for name in accuracies}
    methods = {cell.method for cell in (*plan.references, *plan.cells)}
    controls = {name for name in methods if METHODS[plan.config.base_method(name)].is_control}
    return protocol_matrix(in_order(plan, accuracies), titles=titles, controls=controls)


def in_order(plan: Plan, accuracies: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same with the protocol of headline tables first."""
    first = plan.headline.config.protocol
    return {first: accuracies[first]} | dict(accuracies)


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


def gap_grids(table: pd.DataFrame, titles: Mapping[str, str]) -> list[Grid]:
    """A grid per data set, network and IPC, the largest published gaps first."""
    columns = (
        "Methods", "Protocols", "Published gap", "Our gap", "Explained by protocols", "Share of the published gap", "n",
    )  # fmt: skip
    return [
        Grid(
            title=f"{group['dataset_title'].iloc[0]}, {network}, IPC {ipc}: published gaps",
            groups=(),
            columns=columns,
            rows=tuple(
                _gap_row(row, titles)
                for _, row in group.sort_values("published_gap_points", ascending=False, kind="stable")
                .head(MOST_PAIRS)
                .iterrows()
            ),
        )
        for (_, network, ipc), group in table.groupby(["dataset", "network", "ipc"], sort=False)
    ]


def _gap_row(row: pd.Series[Any], titles: Mapping[str, str]) -> tuple[str, ...]:
    return (
        f"{row['method_title']} - {row['other_title']}",
        f"{titles[row['protocol']]}, {titles[row['other_protocol']]}",
        f"{row['published_gap_points']:.1f}",
        interval_text(row["our_gap_points"], math.nan, math.nan),
        interval_text(row["explained_points"], row["explained_low"], row["explained_high"]),
        interval_text(row["share"], row["share_low"], row["share_high"], 2),
        str(row["seeds"]),
    )


def gap_notes(table: pd.DataFrame) -> list[str]:
    """Notes below the gaps."""
    if table.empty:
        return [
            "No two methods of the grid with published numbers are published under different protocols that are both among "
            "`grid.protocols`."
        ]
    sources = dict.fromkeys([*table["published_source"], *table["other_published_source"]])
    return [
        "Each method under the protocol of its own publication. Published gap: difference of the two published accuracies, "
        "in points; our gap: that of ours, each under its own protocol. Explained by protocols: what changing the other "
        "method's protocol for the method's own adds to the same images, the mean over the images of both methods; the rest "
        "of our gap is what the images of one add to those of the other under the same protocol. Share: the explained points "
        "divided by the published gap. [95 % confidence interval], Student's t over the n distillation seeds that all four "
        f"have; published numbers are taken as they are printed. At most {MOST_PAIRS} pairs are shown; the CSV has all.",
        f"Sources: {'; '.join(sources)}.",
    ]
