"""Which figures a grid has, decided only from its plan: name, title, files, or the reason why one is left out.

A figure that needs more than the grid holds (several evaluation networks, iterations) is left out with the reason, never drawn
empty. Snakemake asks here while it parses, so nothing here imports what draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.sensitivity_study import sensitivity_points
from bacon.reporting.collect.source_rules import source_rules
from bacon.reporting.figures.protocol_pages import layout, page_title, paged
from bacon.settings.cells import FIGURES
from bacon.settings.pools import NetworkQueue

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell

KINDS = ("png", "pdf", "json")
EVOLUTION = "evolution"
EMBEDDING = "embedding"
PARETO = "pareto"
PROTOCOLS = "protocols"
DOWNSTREAM = "downstream"


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure of the grid and its files."""

    name: str
    """Stem of its files under ``results/figures``."""
    topic: str
    """Name of its kind: of the caption file in ``workflow/report`` and of the function that draws it."""
    title: str
    kinds: tuple[str, ...] = KINDS
    """Suffixes of its files: pictures, and ``json`` with title and caption."""
    dataset: str | None = None
    """The data set it shows; ``None``: all of the grid, as for ``ipc``."""
    ipc: int | None = None
    task: str = ""
    """The downstream task whose results it shows; empty for others."""
    page: int = 0
    """Which page of a figure of several, from 0."""

    def path(self, kind: str) -> Path:
        """One of its files, relative to the working directory."""
        return Path(FIGURES) / f"{self.name}.{kind}"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A figure that this grid does not have, and why."""

    topic: str
    title: str
    reason: str


Found = Sequence[DrawnFigure] | LeftOut


def drawn(plan: Plan) -> tuple[DrawnFigure, ...]:
    """The figures of the whole grid, in the order of a report."""
    return tuple(figure for found in _found(plan) if not isinstance(found, LeftOut) for figure in found)


def figure_outputs(plan: Plan) -> dict[str, str]:
    """The files of the figures of the whole grid, ``{name}_{kind}`` each."""
    return {f"{figure.name}_{kind}": str(figure.path(kind)) for figure in drawn(plan) for kind in figure.kinds}


def image_paths(dataset: str, method: str, ipc: int) -> tuple[Path, ...]:
    """The files that show a distilled set's images: png, pdf, and json with title and caption."""
    return tuple(Path(f"{FIGURES}/images/{dataset}_{method}_ipc{ipc}.{kind}") for kind in KINDS)


def left_out(plan: Plan) -> tuple[LeftOut, ...]:
    """The figures that the grid is too small for, with the reason."""
    return tuple(found for found in _found(plan) if isinstance(found, LeftOut))


def snapshot_methods(plan: Plan, dataset: str, ipc: int) -> tuple[str, ...]:
    """Methods of which several snapshots of the images are kept, in grid order."""
    cells = (cell for cell in plan.cells if (cell.dataset, cell.ipc) == (dataset, ipc))
    return tuple(dict.fromkeys(cell.method for cell in cells if _snapshots(plan, cell) > 1))


def _found(plan: Plan) -> list[Found]:
    found = [_one(plan, topic, title, reason(plan)) for topic, title, reason in _TOPICS]
    return [*found, _pareto(plan), _downstream(plan), _evolution(plan), _embedding(plan)]


def _one(plan: Plan, topic: str, title: str, reason: str | None) -> Found:
    if reason is not None:
        return LeftOut(topic=topic, title=title, reason=reason)
    if topic == PROTOCOLS:
        count = protocol_pages(plan)
        numbered = ((page, paged(topic, page), page_title(title, page, count)) for page in range(count))
        return tuple(DrawnFigure(name=name, topic=topic, title=text, page=page) for page, name, text in numbered)
    return (DrawnFigure(name=topic, topic=topic, title=title),)


def protocol_pages(plan: Plan) -> int:
    """Pages of the heat maps of methods under every protocol."""
    ipcs = [len({cell.ipc for cell in plan.cells if cell.dataset == dataset}) for dataset in plan.datasets]
    methods = {cell.method for cell in (*plan.references, *plan.cells)}
    chosen = layout(methods=len(methods), protocols=len(plan.protocols), ipcs=max(ipcs))
    return math.ceil(sum(ipcs) * len(plan.networks) / chosen.panels)


def _pareto(plan: Plan) -> Found:
    methods: dict[tuple[str, int], set[str]] = {}
    for cell in plan.cells:
        methods.setdefault((cell.dataset, cell.ipc or 0), set()).add(cell.method)
    title = "Accuracy against every cost"
    if all(len(found) < 2 for found in methods.values()):
        return LeftOut(topic=PARETO, title=title, reason="it compares methods, and the grid has one")
    return tuple(
        DrawnFigure(
            name=f"{PARETO}_{dataset}_ipc{ipc}",
            topic=PARETO,
            title=f"{title}: {plan.dataset_title(dataset)}, IPC {ipc}",
            dataset=dataset,
            ipc=ipc,
        )
        for (dataset, ipc), found in methods.items()
        if len(found) > 1
    )


def _evolution(plan: Plan) -> Found:
    groups = dict.fromkeys((cell.dataset, cell.ipc) for cell in plan.cells if cell.ipc is not None)
    shown = [(dataset, ipc) for dataset, ipc in groups if ipc is not None and snapshot_methods(plan, dataset, ipc)]
    title = "Images during distillation"
    if not shown:
        return LeftOut(topic=EVOLUTION, title=title, reason=_NO_SNAPSHOTS)
    return tuple(
        DrawnFigure(
            name=f"{EVOLUTION}_{dataset}_ipc{ipc}",
            topic=EVOLUTION,
            title=f"{title}: {plan.dataset_title(dataset)}, IPC {ipc}",
            kinds=(*KINDS, "gif"),
            dataset=dataset,
            ipc=ipc,
        )
        for dataset, ipc in shown
    )


def _downstream(plan: Plan) -> Found:
    titles = {name: plan.tasks.task(name).figure for name in plan.tasks.names}
    return tuple(
        DrawnFigure(name=f"{DOWNSTREAM}_{name}", topic=DOWNSTREAM, title=title, task=name)
        for name, title in titles.items()
        if title
    )


def _embedding(plan: Plan) -> Found:
    return tuple(
        DrawnFigure(
            name=f"{EMBEDDING}_{dataset}",
            topic=EMBEDDING,
            title=f"Embeddings of real and synthetic images: {plan.dataset_title(dataset)}",
            dataset=dataset,
            ipc=embedded_ipc(plan, dataset),
        )
        for dataset in plan.datasets
    )


def embedded_ipc(plan: Plan, dataset: str) -> int:
    """The IPC whose embeddings are shown: the largest of a data set."""
    return max(cell.ipc for cell in plan.cells if cell.dataset == dataset and cell.ipc is not None)


_NO_SNAPSHOTS = "no method of the grid keeps more than one snapshot of its images (distillation.snapshot_interval)"


def _always(_: Plan) -> str | None:
    return None


def _iterations(plan: Plan, cell: Cell) -> int:
    """Distillation iterations; methods that select real images have none."""
    return int(getattr(plan.settings(cell).distillation, "iterations", 0))


def _snapshots(plan: Plan, cell: Cell) -> int:
    return len(plan.settings(cell).distillation.snapshot_iterations()) if _iterations(plan, cell) else 0  # type: ignore[union-attr]


def _curve(plan: Plan) -> str | None:
    if any(_snapshots(plan, cell) > 1 and plan.settings(cell).evaluation.snapshot_seeds > 0 for cell in plan.cells):
        return None
    return "no method of the grid has evaluated snapshots (distillation.snapshot_interval, evaluation.snapshot_seeds)"


def _figure3(plan: Plan) -> str | None:
    if not any(plan.published_dataset(dataset) in source_rules().figure3.datasets for dataset in plan.datasets):
        return "it shows CIFAR-10 and CIFAR-100; the grid has neither"
    return _curve(plan)


def _loss(plan: Plan) -> str | None:
    if any(_iterations(plan, cell) for cell in plan.cells):
        return None
    return "no method of the grid has a loss: they only select real images"


def _queue(plan: Plan) -> str | None:
    for cell in plan.cells:
        networks = getattr(plan.settings(cell).distillation, "networks", None)
        if isinstance(networks, NetworkQueue) and _iterations(plan, cell):
            return None
    return "no method of the grid trains a queue of networks"


def _cost(plan: Plan) -> str | None:
    return None if len({cell.method for cell in plan.cells}) > 1 else "it compares methods, and the grid has one"


def _sensitivity(plan: Plan) -> str | None:
    if sensitivity_points(plan):
        return None
    return "no variant (variants.NAME) of a method in the grid differs from it in only one number"


def _cross(plan: Plan) -> str | None:
    return None if len(plan.networks) > 1 else "the grid has one evaluation network (grid.networks)"


def _protocols(plan: Plan) -> str | None:
    return None if plan.has_protocols else "the grid has one evaluation protocol (grid.protocols)"


_TOPICS: tuple[tuple[str, str, Callable[[Plan], str | None]], ...] = (
    ("accuracy", "Accuracy by method and images per class", _always),
    ("curve", "Accuracy against distillation iterations", _curve),
    ("figure3", "The paper's Figure 3: accuracy against iterations, and published end points", _figure3),
    ("seconds", "Accuracy against distillation time", _curve),
    ("cost", "Accuracy and cost of distillation", _cost),
    ("cross_architecture", "Accuracy by evaluation network", _cross),
    (PROTOCOLS, "Accuracy by evaluation protocol", _protocols),
    ("classes", "Accuracy by class", _always),
    ("confusion", "Confusion of classes", _always),
    ("sensitivity", "Sensitivity to single settings", _sensitivity),
    ("loss", "Loss terms during distillation", _loss),
    ("queue", "Accuracy of the networks in the queue", _queue),
)
