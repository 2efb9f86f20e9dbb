"""Every table of a plan, as a data frame and arranged for reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bacon.reporting.collect.absent import COMPLETE, DISTILLED, EVALUATION, TASK, Absent, Kind, evaluation_kinds
from bacon.reporting.collect.best_checkpoints import best_checkpoints
from bacon.reporting.collect.comparisons import compare_methods
from bacon.reporting.collect.costs import teacher_costs
from bacon.reporting.collect.data_facts import collect_data, warning_notes
from bacon.reporting.collect.dd_ranking import rank
from bacon.reporting.collect.distilled_files import collect_cost, divergence_notes
from bacon.reporting.collect.evaluations import RERUN, average_augmentations, collect_networks
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
from bacon.reporting.tables.downstream_tables import downstream_table
from bacon.reporting.tables.gap_tables import gaps_table
from bacon.reporting.tables.markup import Grid
from bacon.reporting.tables.names import DD_RANKING, DOWNSTREAM, TABLE_TITLES, downstream_table_name, table_names
from bacon.reporting.tables.pareto_tables import pareto_table
from bacon.reporting.tables.protocol_tables import matrix_table
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
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


def report_tables(plan: Plan, *, published: Path, absent: Absent = COMPLETE) -> dict[str, ReportTable]:
    """Every table of a plan by name, in the order of a report.

    Args:
        plan: the grid; every artifact is refused whose fingerprint is not the plan's.
        published: the CSV of published accuracies.
        absent: results that are not there. Where they are allowed to be, each table says how many of its results they are,
            and a table that cannot be made without them is empty, with the reason.

    Returns:
        ``summary``, ``comparisons``, ``published``, ``table1``, with several evaluation networks
        ``cross_architecture``, under the protocol dd-ranking ``ranking``, with a validation split ``checkpoints``, with
        several protocols ``protocols`` and ``protocol_gaps``, with test curves ``selection``, of each downstream task
        ``downstream_TASK``, ``cost``, with several methods ``pareto``, and ``accuracy`` (every trained network). Those
        that do not compare protocols are of the plan's own.

    Raises:
        BaconError: an artifact is missing, damaged or of another fingerprint, but for those that may be absent; or nothing is
            there under the plan's protocol.
    """
    inputs = _Inputs(plan, PublishedResults.read(published), absent)
    return {name: _made(name, make, inputs) for name, make in _makers(plan).items()}


class _Inputs:
    """What tables are made from, each read once.

    Args:
        plan: the grid.
        results: published accuracies.
        absent: results that are not there.
    """

    def __init__(self, plan: Plan, results: PublishedResults, absent: Absent) -> None:
        self.plan, self.results, self.absent = plan, results, absent
        expected = {name: absent.without(expected_evaluations(each)) for name, each in plan.protocols.items()}
        distilled = absent.without(expected_distilled(plan, cell) for cell in plan.cells)
        own = plan.config.protocol
        if absent.allowed and not (distilled and any(one.ipc is not None for one in expected[own])):
            raise BaconError(
                f"there is no distilled set yet that was evaluated under the protocol {own}, which headline tables show: "
                f"nothing to report. {RERUN}"
            )
        self.under = {name: collect_networks(one) for name, one in expected.items() if one or not absent.allowed}
        """Protocol -> rows of ``collect_networks``."""
        self.accuracies = {name: average_augmentations(one) for name, one in self.under.items()}
        self.networks, self.accuracy = self.under[own], self.accuracies[own]
        self.summary = summarise(self.accuracy, results)
        self.cost = collect_cost(distilled, teacher_costs(expected[own], self.accuracy))
        self.storage = storage_notes(self.accuracy)
        self.diverged = [*divergence_notes(self.cost), *chance_notes(self.accuracy, self.cost)]
        self.own = [*own_network_notes(plan), *whitening_notes(plan)]

    @property
    def cost_notes(self) -> list[str]:
        """Notes on what is stored and on what went wrong."""
        return [*self.storage, *self.diverged]


_Maker = Callable[[_Inputs], ReportTable]


def _makers(plan: Plan) -> dict[str, _Maker]:
    """Name -> what makes the table, of the tables of a plan, in the order of a report."""
    every: dict[str, _Maker] = {
        "summary": _summary,
        "comparisons": lambda one: _comparisons(one.accuracy, plan, one.own),
        "published": lambda one: _against(one.summary, one.results, one.own),
        "table1": lambda one: _table1(one.summary, one.results, one.own),
        "cross_architecture": lambda one: _cross(one.summary),
        "ranking": lambda one: _ranking(one.under),
        "checkpoints": lambda one: _checkpoints(one.networks),
        "protocols": lambda one: matrix_table(plan, one.accuracies),
        "protocol_gaps": lambda one: gaps_table(plan, one.accuracies, one.results),
        "selection": lambda one: selection_table(plan, one.under, one.absent),
        **{
            downstream_table_name(name): partial(_downstream, name=name) for name in plan.tasks.names
        },
        "cost": lambda one: cost_table(one.cost, one.accuracy, plan.networks[0], one.cost_notes),
        "pareto": lambda one: pareto_table(one.summary, summarise_cost(one.cost), one.accuracy),
        "accuracy": lambda one: _every_network(one.accuracies, plan.config.protocol),
    }  # fmt: skip
    wanted = table_names(plan)
    return {name: make for name, make in every.items() if name in wanted}


def _made(name: str, make: _Maker, inputs: _Inputs) -> ReportTable:
    """A table that says what it lacks; where absent results leave none to make, an empty one with the reason."""
    absent = inputs.absent
    lacks = absent.note(_kinds(name, inputs.plan))
    try:
        return make(inputs).with_notes(lacks)
    except BaconError as error:
        if not lacks:
            raise
        title = TABLE_TITLES[name]
        return ReportTable(title=title[:1].upper() + title[1:], frame=pd.DataFrame(), notes=[*lacks, f"{error}."])


def _kinds(name: str, plan: Plan) -> tuple[Kind, ...]:
    """The results that a table is made from."""
    own: tuple[Kind, ...] = ((EVALUATION, plan.config.protocol),)
    if name.startswith(f"{DOWNSTREAM}_"):
        return ((TASK, name.removeprefix(f"{DOWNSTREAM}_")),)
    if name in ("cost", "pareto"):
        return ((DISTILLED, ""), *own)
    if name == "ranking":
        return ((EVALUATION, DD_RANKING),)
    return evaluation_kinds(plan) if name in ("protocols", "protocol_gaps", "selection", "accuracy") else own


def _with(grids: Sequence[Grid], lines: Sequence[str]) -> list[tuple[Grid, Sequence[str]]]:
    return [(grid, lines) for grid in grids]


def _summary(one: _Inputs) -> ReportTable:
    warnings = warning_notes(collect_data(one.plan))
    odd = [line for lines in warnings.values() for line in lines]
    further = [*one.cost_notes, *one.own, *unused_label_notes(one.accuracy)]
    return ReportTable(
        title="Accuracy, ours beside published",
        frame=one.summary,
        notes=[*notes(one.accuracy, one.summary), *odd, *further],
        grids=[(grid, [*lines, *further]) for grid, lines in summary_grids(one.accuracy, one.summary, warnings)],
    )


def _downstream(one: _Inputs, *, name: str) -> ReportTable:
    return downstream_table(one.plan, name, one.absent.paths)


def _every_network(accuracies: Mapping[str, pd.DataFrame], own: str) -> ReportTable:
    words = (
        "Every trained network, one row each; with several augmentations, one row per evaluation seed with their mean."
    )
    frames = [accuracies[own], *(frame for name, frame in accuracies.items() if name != own)]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
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


def _ranking(under: Mapping[str, pd.DataFrame]) -> ReportTable:
    if DD_RANKING not in under:
        raise BaconError(f"no cell was evaluated under the protocol {DD_RANKING}")
    frame = rank(under[DD_RANKING])
    lines = ranking_notes(frame)
    return ReportTable(title="DD-Ranking's scores", frame=frame, notes=lines, grids=_with(ranking_grids(frame), lines))


def _checkpoints(networks: pd.DataFrame) -> ReportTable:
    frame = best_checkpoints(networks)
    lines = checkpoint_notes(frame)
    title = "Checkpoints chosen on the validation split"
    return ReportTable(title=title, frame=frame, notes=lines, grids=_with(checkpoint_grids(frame), lines))
