"""Make the report: one HTML file with the tables, the figures and every cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.cells import FIGURES
from bacon.reporting.collect import collect_accuracy
from bacon.reporting.distilled_files import collect_cost
from bacon.reporting.expected import expected_distilled, expected_evaluations
from bacon.reporting.published import PublishedResults
from bacon.reporting.report.answer import answer_tables, cost_tables, findings
from bacon.reporting.report.artifacts import Artifact, duration_text
from bacon.reporting.report.cells import accuracy_by_cell, cell_columns, report_cell
from bacon.reporting.report.figures import figure_views
from bacon.reporting.report.links import Links
from bacon.reporting.report.page import render
from bacon.reporting.report.views import Page
from bacon.reporting.summary import summarise
from bacon.runtime.atomic import write_text

if TYPE_CHECKING:
    from bacon.plan import Plan


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
    page = build(
        plan,
        fingerprint=fingerprint,
        figures_fingerprint=figures_fingerprint,
        links=Links(output),
        published=PublishedResults.read(published),
    )
    write_text(output, render(page))


def build(plan: Plan, *, fingerprint: str, figures_fingerprint: str, links: Links, published: PublishedResults) -> Page:
    """What the report says; arguments and errors as for :func:`make`."""
    accuracy = collect_accuracy(expected_evaluations(plan))
    cost = collect_cost([expected_distilled(plan, cell) for cell in plan.cells])
    summary, by_cell = summarise(accuracy, published), accuracy_by_cell(accuracy)
    cells = [report_cell(plan, cell, by_cell, links) for cell in (*plan.references, *plan.cells)]
    artifacts = [artifact for cell in cells for artifact in cell.artifacts]
    return Page(
        title=f"Dataset distillation: {', '.join(plan.dataset_title(name) for name in plan.datasets)}",
        fingerprint=fingerprint,
        findings=tuple(findings(summary)),
        answers=tuple(answer_tables(accuracy, summary)),
        figures=tuple(figure_views(plan.directory / FIGURES, figures_fingerprint, links)),
        tables=tuple(cost_tables(cost)),
        cell_columns=cell_columns(plan.networks),
        cells=tuple(cell.view for cell in cells),
        origin=(
            ("distilled sets", str(len(plan.cells))),
            ("trained networks", str(len(accuracy))),
            *origin(artifacts),
            ("preset", plan.config.preset),
            ("fingerprint of this report", fingerprint),
        ),
    )


def origin(artifacts: Sequence[Artifact]) -> list[tuple[str, str]]:
    """What the artifacts together came from: computing time, devices, commits and versions, each named once."""
    return [
        ("computing time", duration_text(sum(one.seconds for one in artifacts))),
        ("devices", "; ".join(dict.fromkeys(one.device for one in artifacts))),
        ("commits", "; ".join(dict.fromkeys(one.commit for one in artifacts))),
        ("versions", "; ".join(dict.fromkeys(one.packages for one in artifacts))),
    ]
