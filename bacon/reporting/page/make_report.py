"""Make the report: one HTML file with the tables, the figures and every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.data_facts import PreparedFacts, collect_data
from bacon.reporting.page.answer import answer_tables, findings
from bacon.reporting.page.artifact_facts import Artifact, duration_text
from bacon.reporting.page.cell_entries import CellReport, accuracy_by_cell, cell_columns, report_cell
from bacon.reporting.page.contents import left_out, report_figures, report_tables
from bacon.reporting.page.figure_entries import figure_views, image_links
from bacon.reporting.page.grids import grid_tables
from bacon.reporting.page.html import render
from bacon.reporting.page.links import Links
from bacon.reporting.page.views import DataView, Page, Table
from bacon.runtime.atomic import write_text

if TYPE_CHECKING:
    import pandas as pd

    from bacon.plan.plan import Plan
    from bacon.reporting.page.contents import ReportFigure, ReportTable

# The answer, with a place of its own in the page.
_ANSWER = "summary"
# Long: each cell shows its own part.
_EVERYTHING = "accuracy"


def make(plan: Plan, *, fingerprint: str, figures_fingerprint: str, output: Path, published: Path) -> None:
    """Write the report.

    Args:
        plan: the grid; every artifact is refused whose fingerprint is not the plan's.
        fingerprint: of this aggregate; stands in the page.
        figures_fingerprint: that the figures must carry.
        output: the HTML file; logs and data are linked relative to it.
        published: the CSV of published accuracies.

    Raises:
        BaconError: an artifact or a figure is missing, damaged or of another fingerprint.
    """
    tables, figures = report_tables(plan, published=published), report_figures(plan)
    links, accuracy = Links(output), tables["accuracy"].frame
    cells = report_cells(plan, accuracy, figures, links)
    artifacts = [artifact for cell in cells for artifact in cell.artifacts]
    page = Page(
        title=f"Dataset distillation: {', '.join(plan.dataset_title(name) for name in plan.datasets)}",
        fingerprint=fingerprint,
        findings=tuple(findings(tables["summary"].frame)),
        answers=tuple(answer_tables(accuracy, tables["summary"].frame)),
        figures=tuple(figure_views(figures, figures_fingerprint, links)),
        left_out=tuple((figure.title, figure.reason) for figure in left_out(plan)),
        tables=tuple(further_tables(tables)),
        tables_left_out=tuple(empty_tables(tables)),
        cell_columns=cell_columns(plan.networks),
        cells=tuple(cell.view for cell in cells),
        data=tuple(data_view(facts) for facts in collect_data(plan)),
        origin=(
            ("distilled sets", str(len(plan.cells))),
            *origin(artifacts),
            ("preset", plan.config.preset),
            ("fingerprint of this report", fingerprint),
        ),
    )
    write_text(output, render(page))


def data_view(facts: PreparedFacts) -> DataView:
    """A data set in words."""
    channels, height, width = facts.shape
    counts = f"{facts.classes} classes, {facts.train} training and {facts.test} test images"
    contents = f"{channels} x {height} x {width} pixels, {counts}"
    return DataView(title=facts.title, contents=contents, warnings=facts.warnings)


def report_cells(plan: Plan, accuracy: pd.DataFrame, figures: Sequence[ReportFigure], links: Links) -> list[CellReport]:
    """Every cell of a plan, the full data sets first."""
    by_cell, images = accuracy_by_cell(accuracy), image_links(figures, links)
    return [
        report_cell(
            plan, cell, accuracy=by_cell, images=images.get((cell.dataset, cell.method, cell.ipc or 0), ()), links=links
        )
        for cell in (*plan.references, *plan.cells)
    ]


def further_tables(tables: Mapping[str, ReportTable]) -> list[Table]:
    """The parts of every table but the answer; the table of every trained network has none, it is in the cells."""
    return [part for name, table in tables.items() if name != _ANSWER for part in grid_tables(name, table)]


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
