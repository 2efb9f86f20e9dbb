"""Every table of a plan, as a data frame and arranged for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bacon.reporting.collect.best_checkpoints import best_checkpoints
from bacon.reporting.collect.comparisons import compare_methods
from bacon.reporting.collect.costs import teacher_costs
from bacon.reporting.collect.data_facts import collect_data, warning_notes
from bacon.reporting.collect.dd_ranking import rank
from bacon.reporting.collect.distilled_files import collect_cost, divergence_notes
from bacon.reporting.collect.evaluations import average_augmentations, collect_networks
from bacon.reporting.collect.expected import expected_distilled, expected_evaluations
from bacon.reporting.collect.own_networks import own_network_notes
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.collect.summary import notes, summarise
from bacon.reporting.collect.teacher_notes import chance_notes, storage_notes
from bacon.reporting.collect.unused_labels import unused_label_notes
from bacon.reporting.collect.whitened_cells import whitening_notes
from bacon.reporting.tables.comparison_tables import comparison_grids, comparison_notes
from bacon.reporting.tables.cost_tables import cost_table, summarise_cost
from bacon.reporting.tables.cross_tables import cross_architecture, cross_grids, cross_notes
from bacon.reporting.tables.downstream_tables import downstream_tables
from bacon.reporting.tables.markup import Grid
from bacon.reporting.tables.names import DD_RANKING, table_names
from bacon.reporting.tables.pareto_tables import pareto_table
from bacon.reporting.tables.protocol_tables import protocol_tables
from bacon.reporting.tables.published_tables import (
    against_grid,
    against_notes,
    against_published,
    in_grid,
    table1,
    table1_grids,
    table1_notes,
)
from bacon.reporting.tables.ranking_tables import checkpoint_grids, checkpoint_notes, ranking_grids, ranking_notes
from bacon.reporting.tables.report_table import ReportTable
from bacon.reporting.tables.run_tables import summary_grids
from bacon.reporting.tables.selection_tables import selection_table

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


def report_tables(plan: Plan, *, published: Path) -> dict[str, ReportTable]:
    """Every table of a plan by name, in the order of a report.

    Args:
        plan: the grid; every artifact is refused whose fingerprint is not the plan's.
        published: the CSV of published accuracies.

    Returns:
        ``summary``, ``comparisons``, ``published``, ``table1``, with several evaluation networks
        ``cross_architecture``, under the protocol dd-ranking ``ranking``, with a validation split ``checkpoints``, with
        several protocols ``protocols`` and ``protocol_gaps``, with test curves ``selection``, of each downstream task
        ``downstream_TASK``, ``cost``, with several methods ``pareto``, and ``accuracy`` (every trained network). Those
        that do not compare protocols are of the plan's own.

    Raises:
        BaconError: an artifact is missing, damaged or of another fingerprint.
    """
    under = {name: collect_networks(expected_evaluations(each)) for name, each in plan.protocols.items()}
    networks = under[plan.config.protocol]
    accuracies = {name: average_augmentations(one) for name, one in under.items()}
    accuracy = accuracies[plan.config.protocol]
    results = PublishedResults.read(published)
    summary = summarise(accuracy, results)
    warnings = warning_notes(collect_data(plan))
    teachers = teacher_costs(expected_evaluations(plan), accuracy)
    cost = collect_cost([expected_distilled(plan, cell) for cell in plan.cells], teachers)
    diverged, storage = [*divergence_notes(cost), *chance_notes(accuracy, cost)], storage_notes(accuracy)
    own = [*own_network_notes(plan), *whitening_notes(plan)]
    tables = {
        "summary": _summary(accuracy, summary, warnings, [*storage, *diverged, *own, *unused_label_notes(accuracy)]),
        "comparisons": _comparisons(accuracy, plan, own),
        "published": _against(summary, results, own),
        "table1": _table1(summary, results, own),
    }
    wanted = table_names(plan)
    if "cross_architecture" in wanted:
        tables["cross_architecture"] = _cross(summary)
    if "ranking" in wanted:
        tables["ranking"] = _ranking(under[DD_RANKING])
    if "checkpoints" in wanted:
        tables["checkpoints"] = _checkpoints(networks)
    if "protocols" in wanted:
        tables |= protocol_tables(plan, accuracies, results)
    if "selection" in wanted:
        tables["selection"] = selection_table(plan, under)
    tables |= downstream_tables(plan)
    tables["cost"] = cost_table(cost, accuracy, plan.networks[0], [*storage, *diverged])
    if "pareto" in wanted:
        tables["pareto"] = pareto_table(summary, summarise_cost(cost), accuracy)
    others = [one for name, one in accuracies.items() if name != plan.config.protocol]
    tables["accuracy"] = _every_network([accuracy, *others])
    return tables


def _with(grids: Sequence[Grid], lines: Sequence[str]) -> list[tuple[Grid, Sequence[str]]]:
    return [(grid, lines) for grid in grids]


def _summary(
    accuracy: pd.DataFrame, summary: pd.DataFrame, warnings: Mapping[str, Sequence[str]], further: Sequence[str]
) -> ReportTable:
    odd = [line for lines in warnings.values() for line in lines]
    return ReportTable(
        title="Accuracy, ours beside published",
        frame=summary,
        notes=[*notes(accuracy, summary), *odd, *further],
        grids=[(grid, [*lines, *further]) for grid, lines in summary_grids(accuracy, summary, warnings)],
    )


def _every_network(accuracies: Sequence[pd.DataFrame]) -> ReportTable:
    words = (
        "Every trained network, one row each; with several augmentations, one row per evaluation seed with their mean."
    )
    frame = accuracies[0] if len(accuracies) == 1 else pd.concat(accuracies, ignore_index=True)
    return ReportTable(title="Every trained network", frame=frame, notes=[words])


def _comparisons(accuracy: pd.DataFrame, plan: Plan, own: Sequence[str]) -> ReportTable:
    variants = {name: variant.method for name, variant in plan.config.variants.items()}
    references = plan.config.report.references
    frame = compare_methods(accuracy, variants, references=references)
    lines = [*comparison_notes(frame, references), *own]
    return ReportTable(title="Methods compared", frame=frame, notes=lines, grids=_with(comparison_grids(frame), lines))


def _against(summary: pd.DataFrame, results: PublishedResults, own: Sequence[str]) -> ReportTable:
    frame = against_published(summary, results)
    lines = [*against_notes(frame), *own]
    return ReportTable(
        title="Ours against published", frame=frame, notes=lines, grids=_with(against_grid(frame), lines)
    )


def _table1(summary: pd.DataFrame, results: PublishedResults, own: Sequence[str]) -> ReportTable:
    frame = table1(summary, results)
    shown = in_grid(frame, summary)
    lines = [*table1_notes(shown), *own]
    return ReportTable(
        title="The paper's Table 1 and ours", frame=frame, notes=lines, grids=_with(table1_grids(shown), lines)
    )


def _cross(summary: pd.DataFrame) -> ReportTable:
    frame = cross_architecture(summary)
    lines = cross_notes(frame)
    return ReportTable(
        title="Accuracy by evaluation network", frame=frame, notes=lines, grids=_with(cross_grids(frame), lines)
    )


def _ranking(networks: pd.DataFrame) -> ReportTable:
    frame = rank(networks)
    lines = ranking_notes(frame)
    return ReportTable(title="DD-Ranking's scores", frame=frame, notes=lines, grids=_with(ranking_grids(frame), lines))


def _checkpoints(networks: pd.DataFrame) -> ReportTable:
    frame = best_checkpoints(networks)
    lines = checkpoint_notes(frame)
    title = "Checkpoints chosen on the validation split"
    return ReportTable(title=title, frame=frame, notes=lines, grids=_with(checkpoint_grids(frame), lines))
