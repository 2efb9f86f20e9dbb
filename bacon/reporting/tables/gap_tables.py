"""What protocols explain of published gaps, of every pair of methods and of chosen ones, arranged for reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bacon.reporting.collect.protocol_gaps import UnsplitGap, chosen_protocol_gaps, protocol_gaps
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.tables.markup import Grid
from bacon.reporting.tables.protocol_tables import in_order, interval_text
from bacon.reporting.tables.report_table import ReportTable
from bacon.settings.cells import Cell

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

MOST_PAIRS = 40
"""Pairs of methods in the table for reading: chosen ones, then those with the largest published gaps; the CSV has all."""
GAP_COLUMNS = (
    "Methods", "Protocols", "Published gap", "Our gap", "Explained by protocols", "Share of the published gap", "n",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ChosenGaps:
    """The gaps of chosen pairs."""

    frame: pd.DataFrame
    unsplit: Sequence[UnsplitGap]
    titles: Mapping[str, str]
    """Protocol -> its name in tables."""

    @property
    def grids(self) -> list[Grid]:
        """A grid per data set, network and IPC."""
        return gap_grids(self.frame, self.titles)


def gaps_table(plan: Plan, accuracies: Mapping[str, pd.DataFrame], results: PublishedResults) -> ReportTable:
    """The table ``protocol_gaps``; its column ``chosen`` marks the pairs of ``report.gaps``.

    Args:
        plan: of several protocols.
        accuracies: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        results: published accuracies.
    """
    pairs = plan.config.report.gaps
    wanted = {frozenset(pair) for pair in pairs}
    gaps = protocol_gaps(in_order(plan, accuracies), results, _own_protocol(plan))
    methods = zip(gaps["method"], gaps["other"], strict=True)
    gaps = gaps.assign(
        chosen=pd.Series([frozenset(pair) in wanted for pair in methods], index=gaps.index, dtype="bool")
    )
    chosen = chosen_gaps(plan, accuracies, results, pairs)
    lines = [*unsplit_lines(chosen.unsplit), *gap_notes(gaps)]
    return ReportTable(
        title="What protocols explain of published gaps",
        frame=gaps,
        notes=lines,
        grids=[(grid, lines) for grid in gap_grids(gaps, chosen.titles)],
    )


def chosen_gaps(
    plan: Plan,
    accuracies: Mapping[str, pd.DataFrame],
    results: PublishedResults,
    pairs: Sequence[tuple[str, str]],
) -> ChosenGaps:
    """The published gaps between chosen methods; other arguments as for :func:`gaps_table`."""
    frame, unsplit = chosen_protocol_gaps(in_order(plan, accuracies), results, _own_protocol(plan), pairs)
    titles = {name: plan.config.protocol_title(name) for name in plan.protocols}
    return ChosenGaps(frame=frame.assign(chosen=True), unsplit=unsplit, titles=titles)


def gap_lines(found: ChosenGaps) -> list[str]:
    """Notes on the gaps of chosen pairs, and why others are missing."""
    return [*unsplit_lines(found.unsplit), *(gap_notes(found.frame) if len(found.frame) else [])]


def unsplit_lines(unsplit: Sequence[UnsplitGap]) -> list[str]:
    """A line for each pair at each place where its gap cannot be split."""
    return [
        f"{one.method} - {one.other}, {one.dataset_title}, IPC {one.ipc}, {one.network}: the gap cannot be split, because "
        f"{one.reason}."
        for one in unsplit
    ]


def _own_protocol(plan: Plan) -> Callable[[str, str, int], str | None]:
    return lambda dataset, method, ipc: plan.published_protocol(Cell(dataset, method, ipc, 0))


def gap_grids(table: pd.DataFrame, titles: Mapping[str, str]) -> list[Grid]:
    """A grid per data set, network and IPC: chosen pairs, then the largest published gaps."""
    return [
        Grid(
            title=f"{group['dataset_title'].iloc[0]}, {network}, IPC {ipc}: published gaps",
            groups=(),
            columns=GAP_COLUMNS,
            rows=tuple(
                _gap_row(row, titles)
                for _, row in group.sort_values(["chosen", "published_gap_points"], ascending=False, kind="stable")
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
