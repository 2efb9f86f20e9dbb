"""The files of a plan, by the stage that makes them: data sets, distilled sets, training runs, evaluations. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bacon.plan.plan import Plan
from bacon.plan.trainings import PlannedTraining
from bacon.settings.cells import DATA, Cell, RunBlock
from bacon.settings.training_need import TrainingNeed


@dataclass(frozen=True, kw_only=True)
class PlannedArtifact:
    """One file that a plan needs.

    Attributes:
        stage: name of the stage that makes it.
        name: what it belongs to: the data set or the cell.
        path: of the file.
        fingerprint: that it must carry.
        cell: the cell; ``None`` for a data set.
        network: the evaluation network; empty for other stages, and for the index of a cell's evaluations under several
            protocols.
        block: runs of a training on the real set; ``None`` for other stages.
    """

    stage: str
    name: str
    path: Path
    fingerprint: str
    cell: Cell | None = None
    network: str = ""
    block: RunBlock | None = None


def data_artifact(plan: Plan, dataset: str) -> PlannedArtifact:
    """A prepared data set, by the name of its form."""
    path, fingerprint = Path(DATA.format(dataset=dataset)), plan.data_fingerprint(dataset)
    return PlannedArtifact(stage="data", name=dataset, path=path, fingerprint=fingerprint)


def distilled_artifact(plan: Plan, cell: Cell) -> PlannedArtifact:
    """A cell's distilled set."""
    path, fingerprint = cell.distilled_path, plan.distilled_fingerprint(cell)
    return PlannedArtifact(stage="distill", name=str(cell), path=path, fingerprint=fingerprint, cell=cell)


def training_artifact(training: PlannedTraining, block: RunBlock) -> PlannedArtifact:
    """The index of a block of runs of a training."""
    return PlannedArtifact(
        stage="train",
        name=str(block),
        path=block.path,
        fingerprint=training.block_fingerprint(block),
        block=block,
    )


def training_inputs(plan: Plan, cell: Cell, needs: Iterable[TrainingNeed] | None = None) -> tuple[PlannedArtifact, ...]:
    """The networks trained on the real set that meet needs of a cell; without any given, those that it distils with."""
    trainings = [
        (plan.training_of(plan.data_name(cell), need), need.runs)
        for need in (plan.needs(cell) if needs is None else needs)
    ]
    return tuple(
        training_artifact(training, block) for training, runs in trainings for block in training.blocks_with(runs)
    )


def evaluation_artifact(plan: Plan, cell: Cell, network: str) -> PlannedArtifact:
    """The networks of one kind that are trained on a cell, or on a full data set."""
    path, fingerprint = cell.evaluation_path(network), plan.evaluation_fingerprint(cell, network)
    return PlannedArtifact(
        stage="evaluate", name=str(cell), path=path, fingerprint=fingerprint, cell=cell, network=network
    )


def evaluations_artifact(plan: Plan, cell: Cell) -> PlannedArtifact:
    """The index of a cell's evaluation files, where it is evaluated under several protocols."""
    path, fingerprint = cell.evaluations_path, plan.evaluations_fingerprint(cell)
    return PlannedArtifact(stage="evaluate", name=str(cell), path=path, fingerprint=fingerprint, cell=cell)


def cell_of(wildcards: Mapping[str, str]) -> Cell:
    """The cell that wildcards name; without a method, the full data set."""
    if "method" not in wildcards:
        return Cell(wildcards["dataset"], "full")
    return Cell(wildcards["dataset"], wildcards["method"], int(wildcards["ipc"]), int(wildcards["seed"]))
