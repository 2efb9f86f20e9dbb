"""Make the figures of a plan that show the whole grid."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bacon.reporting.collect.classes import ClassResults, collect_classes
from bacon.reporting.collect.costs import teacher_costs
from bacon.reporting.collect.distilled_files import collect_cost, collect_history, open_distilled
from bacon.reporting.collect.embedded_images import embed
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.expected import expected_distilled, expected_evaluations
from bacon.reporting.collect.nearest import ExpectedDataset
from bacon.reporting.collect.pareto_points import pareto_points
from bacon.reporting.collect.protocol_text import network_text
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.collect.sensitivity_study import sensitivity_points
from bacon.reporting.collect.summary import summarise
from bacon.reporting.figures.accuracy import accuracy_figure
from bacon.reporting.figures.canvas import FigurePage, save
from bacon.reporting.figures.catalogue import (
    DOWNSTREAM,
    EMBEDDING,
    EVOLUTION,
    PARETO,
    PROTOCOLS,
    DrawnFigure,
    drawn,
    snapshot_methods,
)
from bacon.reporting.figures.curve import SECONDS, curve_figure, figure3, with_seconds
from bacon.reporting.figures.embedding import embedding_figure
from bacon.reporting.figures.evolution import evolution_pages, write_gif
from bacon.reporting.figures.heatmap import classes_figure, confusion_figure, cross_architecture_figure
from bacon.reporting.figures.loss import loss_figure
from bacon.reporting.figures.pareto import cost_figure
from bacon.reporting.figures.pareto_fronts import pareto_figure
from bacon.reporting.figures.protocols import protocols_figure
from bacon.reporting.figures.queue import WINDOWS, queue_figure
from bacon.reporting.figures.sensitivity import sensitivity_figure
from bacon.reporting.figures.style import figure_style, method_styles
from bacon.reporting.figures.task_figures import TASK_FIGURES
from bacon.reporting.tables.cost_tables import summarise_cost
from bacon.reporting.tables.cross_tables import cross_architecture
from bacon.reporting.tables.protocol_tables import matrix_of
from bacon.settings.cells import DATA

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell


class FigureInputs:
    """The tables and files that the figures of a plan are drawn from, each read once, when first needed.

    Args:
        plan: the grid.
        published: the CSV of published accuracies.
    """

    def __init__(self, plan: Plan, published: Path) -> None:
        self.plan, self._published = plan, published
        self.distilled = [expected_distilled(plan, cell) for cell in plan.cells]

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Rows of ``collect_accuracy``."""
        return collect_accuracy(expected_evaluations(self.plan))

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """Rows of ``protocol_matrix``."""
        others = {
            name: self.accuracy if each is self.plan else collect_accuracy(expected_evaluations(each))
            for name, each in self.plan.protocols.items()
        }
        return matrix_of(self.plan, others)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Rows of ``summarise``."""
        return summarise(self.accuracy, PublishedResults.read(self._published))

    @cached_property
    def cost(self) -> pd.DataFrame:
        """Rows of ``collect_cost``."""
        return collect_cost(self.distilled, teacher_costs(expected_evaluations(self.plan), self.accuracy))

    @cached_property
    def pareto(self) -> pd.DataFrame:
        """Rows of ``pareto_points`` with the first evaluation network."""
        network = self.plan.networks[0]
        summary, accuracy = (table[table["network"] == network] for table in (self.summary, self.accuracy))
        return pareto_points(summary, summarise_cost(self.cost), accuracy)

    @cached_property
    def history(self) -> pd.DataFrame:
        """Rows of ``collect_history``."""
        return collect_history(self.distilled)

    @cached_property
    def classes(self) -> list[ClassResults]:
        """Results by class with the first evaluation network."""
        names: dict[str, tuple[str, ...]] = {}
        for one in self.distilled:
            if one.dataset not in names:
                with open_distilled(one) as file:
                    names[one.dataset] = tuple(json.loads(file.attrs["class_names"]))
        return collect_classes(expected_evaluations(self.plan), class_names=names, network=self.plan.networks[0])


DRAW: Mapping[str, Callable[[FigureInputs, DrawnFigure], FigurePage]] = {
    "accuracy": lambda inputs, _: accuracy_figure(inputs.accuracy),
    "curve": lambda inputs, _: curve_figure(inputs.accuracy),
    "figure3": lambda inputs, _: figure3(inputs.accuracy, inputs.summary),
    "seconds": lambda inputs, _: curve_figure(with_seconds(inputs.accuracy, inputs.cost), abscissa=SECONDS),
    "cost": lambda inputs, _: cost_figure(inputs.summary, summarise_cost(inputs.cost), inputs.accuracy),
    "cross_architecture": lambda inputs, _: cross_architecture_figure(
        cross_architecture(inputs.summary), inputs.accuracy
    ),
    PROTOCOLS: lambda inputs, figure: protocols_figure(inputs.matrix, page=figure.page),
    "classes": lambda inputs, _: classes_figure(inputs.classes, inputs.accuracy),
    "confusion": lambda inputs, _: confusion_figure(inputs.classes, inputs.accuracy),
    "sensitivity": lambda inputs, _: sensitivity_figure(
        sensitivity_points(inputs.plan), inputs.summary, inputs.accuracy
    ),
    "loss": lambda inputs, _: loss_figure(inputs.history, term_titles=inputs.plan.term_titles),
    "queue": lambda inputs, _: queue_figure(collect_history(inputs.distilled, windows=WINDOWS)),
}
"""Topic -> what draws it; the evolution of images is drawn by :func:`draw_evolution`."""


def make(plan: Plan, *, fingerprint: str, outputs: dict[str, Path], published: Path) -> None:
    """Write the figures; arguments as for :func:`bacon.reporting.tables.make_tables.make`."""
    inputs = FigureInputs(plan, published)
    variants = {name: variant.method for name, variant in plan.config.variants.items()}
    with figure_style(method_styles(plan.figure_places, variants)):
        for figure in drawn(plan):
            files = {kind: outputs[f"{figure.name}_{kind}"] for kind in figure.kinds}
            if figure.topic == EVOLUTION:
                draw_evolution(plan, figure, fingerprint=fingerprint, files=files)
            elif figure.topic == PARETO:
                save(draw_fronts(inputs, figure), fingerprint=fingerprint, outputs=list(files.values()))
            elif figure.topic == DOWNSTREAM:
                save(TASK_FIGURES[figure.task](plan), fingerprint=fingerprint, outputs=list(files.values()))
            elif figure.topic == EMBEDDING:
                save(draw_embedding(plan, figure), fingerprint=fingerprint, outputs=list(files.values()))
            else:
                save(DRAW[figure.topic](inputs, figure), fingerprint=fingerprint, outputs=list(files.values()))


def draw_evolution(plan: Plan, figure: DrawnFigure, *, fingerprint: str, files: Mapping[str, Path]) -> None:
    """Write the strip and the animation of one data set and IPC, from each method's first seed."""
    assert figure.dataset is not None
    assert figure.ipc is not None
    methods = snapshot_methods(plan, figure.dataset, figure.ipc)
    cells = [cell for cell in _first_seeds(plan, figure.dataset, figure.ipc) if cell.method in methods]
    strip, frames = evolution_pages([expected_distilled(plan, cell) for cell in cells], title=figure.title)
    save(strip, fingerprint=fingerprint, outputs=[path for kind, path in files.items() if kind != "gif"])
    write_gif(frames, files["gif"], fingerprint=fingerprint)


def draw_fronts(inputs: FigureInputs, figure: DrawnFigure) -> FigurePage:
    """Accuracy against every cost, of one data set and IPC with the first evaluation network."""
    table, accuracy = inputs.pareto, inputs.accuracy
    own = table[(table["dataset"] == figure.dataset) & (table["ipc"] == figure.ipc)]
    used = (accuracy["dataset"] == figure.dataset) & (accuracy["ipc"] == figure.ipc) & accuracy["final"]
    return pareto_figure(own, accuracy[used & (accuracy["network"] == inputs.plan.networks[0])], title=figure.title)


def draw_embedding(plan: Plan, figure: DrawnFigure) -> FigurePage:
    """The embeddings of one data set, from each method's first seed at the largest IPC."""
    assert figure.dataset is not None
    assert figure.ipc is not None
    cells = _first_seeds(plan, figure.dataset, figure.ipc)
    network = plan.settings(cells[0]).network
    # The data set's own form: sets that were distilled in the other one are brought into it.
    path = plan.directory / DATA.format(dataset=figure.dataset)
    real = ExpectedDataset(path=path, fingerprint=plan.data_fingerprint(figure.dataset))
    found = embed(real, [expected_distilled(plan, cell) for cell in cells], network=network)
    words = network_text(network.model_dump(mode="json"))
    return embedding_figure(found, title=figure.title, ipc=figure.ipc, network=words)


def _first_seeds(plan: Plan, dataset: str, ipc: int) -> list[Cell]:
    """The first cell of each method with this data set and IPC, in grid order."""
    cells: dict[str, Cell] = {}
    for cell in plan.cells:
        if (cell.dataset, cell.ipc) == (dataset, ipc):
            cells.setdefault(cell.method, cell)
    return list(cells.values())
