"""Make the report: one HTML file with the tables, the figures and every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.absent import COMPLETE, EVALUATION, Absent, evaluation_kinds
from bacon.reporting.collect.data_facts import PreparedFacts, collect_data
from bacon.reporting.collect.expected import expected_distilled
from bacon.reporting.collect.overview import overview
from bacon.reporting.figures.catalogue import drawn
from bacon.reporting.page.all_results import results_table
from bacon.reporting.page.answer import answer_parts, answer_tables
from bacon.reporting.page.artifact_facts import Artifact, duration_text
from bacon.reporting.page.best_methods import best_table, state
from bacon.reporting.page.cell_entries import CellReport, accuracy_by_cell, cell_columns, report_cell
from bacon.reporting.page.contents import left_out, report_figures, report_tables
from bacon.reporting.page.figure_entries import IMAGES, drawn_now, figure_views, image_links
from bacon.reporting.page.grids import grid_tables
from bacon.reporting.page.html import render
from bacon.reporting.page.links import Links
from bacon.reporting.page.pictures import picture_height
from bacon.reporting.page.views import MANY_CELLS, DataView, Page, Table, TableGroup
from bacon.reporting.tables.protocol_tables import missing_controls
from bacon.runtime.atomic import write_text

if TYPE_CHECKING:
    import pandas as pd

    from bacon.plan.plan import Plan
    from bacon.reporting.page.contents import ReportFigure, ReportTable
    from bacon.settings.cells import Cell

# The answer, with a place of its own in the page.
_ANSWER = "summary"
# Long: each cell shows its own part.
_EVERYTHING = "accuracy"
# Tables of answers that stand open, and parts of further tables beyond which these are folded.
_MOST_OPEN, _MANY_PARTS = 2, 12


def make(
    plan: Plan,
    *,
    fingerprint: str,
    figures_fingerprint: str,
    output: Path,
    published: Path,
    absent: Absent = COMPLETE,
) -> None:
    """Write the report.

    Args:
        plan: the grid; every artifact is refused whose fingerprint is not the plan's.
        fingerprint: of this aggregate; stands in the page.
        figures_fingerprint: that the figures must carry.
        output: the HTML file; logs and data are linked relative to it.
        published: the CSV of published accuracies.
        absent: results that the report does without, and says so; the figures that are there are then shown.

    Raises:
        BaconError: an artifact or a figure is missing, damaged or of another fingerprint.
    """
    tables, links = report_tables(plan, published=published, absent=absent), Links(output)
    figures, undrawn = shown_figures(plan, figures_fingerprint, absent)
    every = tables["accuracy"].frame
    accuracies = {str(name): rows for name, rows in every.groupby("protocol_name", sort=False)}  # the plan's own first
    protocols = {name: plan.config.protocol_title(name) for name in accuracies}
    places = overview(accuracies, {name: variant.method for name, variant in plan.config.variants.items()})
    groups, beneath = answers(accuracies[plan.config.protocol], tables["summary"].frame)
    cells = report_cells(plan, every, figures, links, absent)
    artifacts = [artifact for cell in cells for artifact in cell.artifacts]
    sets = len(absent.without(expected_distilled(plan, cell) for cell in plan.cells))
    lacks = tuple(absent.note(evaluation_kinds(plan)))
    page = Page(
        title=f"Dataset distillation: {', '.join(plan.dataset_title(name) for name in plan.datasets)}",
        fingerprint=fingerprint,
        incomplete=absent.counts(),
        absent=tuple(absent.lines()),
        best=noted(best_table(places, protocols), lacks),
        state=tuple(state(places, sets, cells, missing_controls(plan))),
        answers=tuple(noted_group(group, absent.note([(EVALUATION, plan.config.protocol)])) for group in groups),
        answer_notes=beneath,
        results=noted(results_table(places, protocols, tables["cost"].frame), lacks),
        figures=tuple(figure_views(figures, figures_fingerprint, links)),
        left_out=(*((figure.title, figure.reason) for figure in left_out(plan)), *undrawn),
        tables=tuple(further_tables(tables)),
        tables_left_out=tuple(empty_tables(tables)),
        cell_columns=cell_columns(plan.networks),
        cells=tuple(cell.view for cell in cells),
        data=tuple(data_view(facts) for facts in collect_data(plan)),
        origin=(
            ("distilled sets", str(sets)),
            *origin(artifacts),
            ("preset", plan.config.preset),
            ("fingerprint of this report", fingerprint),
        ),
    )
    write_text(output, render(page))


def noted(table: Table, lines: Sequence[str]) -> Table:
    """A table with lines before its notes."""
    return replace(table, notes=(*lines, *table.notes))


def noted_group(group: TableGroup, lines: Sequence[str]) -> TableGroup:
    """Tables with lines before the notes of each."""
    return replace(group, tables=tuple(noted(table, lines) for table in group.tables))


def shown_figures(plan: Plan, fingerprint: str, absent: Absent) -> tuple[list[ReportFigure], list[tuple[str, str]]]:
    """The figures, and title and reason of those that are not drawn where results may be absent."""
    figures = report_figures(plan, all_drawn=not absent.allowed)
    if not absent.allowed:
        return figures, []
    whole = drawn_now((one for one in figures if one.topic != IMAGES), fingerprint)
    there = {one.files["png"] for one in whole}
    reason = "`snakemake` draws it when every result is there"
    undrawn = [(one.title, reason) for one in drawn(plan) if plan.directory / one.path("png") not in there]
    return [*whole, *(one for one in figures if one.topic == IMAGES)], undrawn


def data_view(facts: PreparedFacts) -> DataView:
    """A data set in words."""
    channels, height, width = facts.shape
    counts = f"{facts.classes} classes, {facts.train} training and {facts.test} test images"
    contents = f"{channels} x {height} x {width} pixels, {counts}"
    return DataView(title=facts.title, contents=contents, warnings=facts.warnings)


def report_cells(
    plan: Plan,
    accuracy: pd.DataFrame,
    figures: Sequence[ReportFigure],
    links: Links,
    absent: Absent = COMPLETE,
) -> list[CellReport]:
    """Every cell of a plan, the full data sets first; where there are many, only the first seed of each shows images."""
    by_cell, images = accuracy_by_cell(accuracy), image_links(figures, links)
    made = [cell for cell in plan.cells if plan.directory / cell.distilled_path not in absent.paths]
    alike = alike_cells(made)
    height = picture_height(len(made) - len(alike))
    found = [
        report_cell(
            plan,
            cell,
            accuracy=by_cell,
            images=images.get((cell.dataset, cell.method, cell.ipc or 0), ()),
            links=links,
            alike=alike.get(cell),
            height=height,
            absent=absent.paths,
        )
        for cell in (*plan.references, *plan.cells)
    ]
    return [one for one in found if one is not None]


def alike_cells(cells: Sequence[Cell]) -> dict[Cell, Cell]:
    """Cell -> the first of its data set, method and IPC, for all others of them; none where there are few cells."""
    first: dict[tuple[object, ...], Cell] = {}
    for cell in cells:
        first.setdefault((cell.dataset, cell.method, cell.ipc), cell)
    found = {cell: first[cell.dataset, cell.method, cell.ipc] for cell in cells if len(cells) > MANY_CELLS}
    return {cell: one for cell, one in found.items() if cell != one}


def answers(accuracy: pd.DataFrame, summary: pd.DataFrame) -> tuple[list[TableGroup], tuple[str, ...]]:
    """Each data set's table, and notes beneath all; folded where they are too many to read one after the other.

    Args:
        accuracy: as for :func:`bacon.reporting.page.answer.answer_tables`.
        summary: the same.
    """
    tables, shared = answer_parts(accuracy, summary)
    folded = len(tables) > _MOST_OPEN
    shown, beneath = (tables, shared) if folded else (answer_tables(accuracy, summary), ())
    return [TableGroup(title=table.title, tables=(table,), folded=folded) for table in shown], beneath


def further_tables(tables: Mapping[str, ReportTable]) -> list[TableGroup]:
    """Every table but the answer, in its parts; the table of every trained network has none, it is in the cells."""
    parts = {name: tuple(grid_tables(name, table)) for name, table in tables.items() if name != _ANSWER and table.grids}
    folded = sum(len(own) for own in parts.values()) > _MANY_PARTS
    return [TableGroup(title=tables[name].title, tables=own, folded=folded) for name, own in parts.items()]


def empty_tables(tables: Mapping[str, ReportTable]) -> list[tuple[str, str]]:
    """Title of every table that has nothing to show for this grid, and the reason."""
    return [(table.title, table.caption) for name, table in tables.items() if not table.grids and name != _EVERYTHING]


def origin(artifacts: Sequence[Artifact]) -> list[tuple[str, str]]:
    """What the artifacts together came from: computing time, devices, commits and versions, each named once."""
    return [
        ("trained networks", str(sum(one.networks for one in artifacts))),
        ("computing time", duration_text(sum(one.seconds for one in artifacts))),
        ("devices", "; ".join(dict.fromkeys(one.device for one in artifacts))),
        ("commits", "; ".join(dict.fromkeys(one.commit for one in artifacts))),
        ("versions", "; ".join(dict.fromkeys(one.packages for one in artifacts))),
    ]
