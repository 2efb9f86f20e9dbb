"""The stages of downstream tasks: one for each task, with one rule. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bacon.downstream.base import Task
from bacon.plan import cost
from bacon.plan.plan import Plan
from bacon.plan.planned_artifact import PlannedArtifact, data_artifact, distilled_artifact, training_inputs
from bacon.plan.stage import Stage
from bacon.plan.task_cost import task_seconds
from bacon.settings.cells import DOWNSTREAM, Cell

_CELL = r"[^/]+/(?:full|[^/]+/ipc\d+/seed\d+)"


def task_stage(task: Task) -> Stage:
    """The stage of a task; its name is the task's."""
    return Stage(
        name=task.name,
        noun=f"result of {task.name}",
        rules={task.name: task_pattern(task)},
        gpus=1,
        folder=Path(DOWNSTREAM) / task.name,
        artifacts=lambda plan: _all(plan, task),
        artifact=lambda plan, wildcards: _named(plan, task, wildcards),
        inputs=lambda plan, artifact: _inputs(plan, task, artifact),
        settings=lambda plan, artifact: plan.tasks.content(task.name, _of(artifact), artifact.network),
        seconds=lambda plan, artifact: task_seconds(plan, task.name, _of(artifact), artifact.network),
        memory_mb=lambda plan, artifact: cost.memory_mb(plan, _of(artifact)),
        log=lambda artifact: _of(artifact).downstream_log(task.name, artifact.network),
        heartbeat=lambda artifact: _of(artifact).downstream_running(task.name, artifact.network),
    )


def task_pattern(task: Task) -> str:
    """Path of a task's files, with the wildcard `place`: the cell and, where it is run with each network, the network."""
    return f"{DOWNSTREAM}/{task.name}/{{place}}.json"


def place_pattern(task: Task) -> str:
    """Regular expression of the wildcard `place`."""
    return _CELL + ("/[^/]+" if task.has_networks else "")


def cell_and_network(task: Task, place: str) -> tuple[Cell, str]:
    """What the wildcard `place` stands for; raises :class:`BaconError` where it names no cell."""
    cell, _, network = place.rpartition("/") if task.has_networks else (place, "", "")
    return Cell.parse(cell), network


def task_artifact(plan: Plan, name: str, cell: Cell, network: str) -> PlannedArtifact:
    """The file of a task on a cell; ``network`` is empty for a task that is run once for each cell."""
    return PlannedArtifact(
        stage=name,
        name=str(cell),
        path=cell.downstream_path(name, network),
        fingerprint=plan.tasks.fingerprint(name, cell, network),
        cell=cell,
        network=network,
    )


def _all(plan: Plan, task: Task) -> Iterator[PlannedArtifact]:
    return (task_artifact(plan, task.name, cell, network) for cell, network in plan.tasks.places(task.name))


def _named(plan: Plan, task: Task, wildcards: Mapping[str, str]) -> PlannedArtifact:
    return task_artifact(plan, task.name, *cell_and_network(task, wildcards["place"]))


def _inputs(plan: Plan, task: Task, artifact: PlannedArtifact) -> tuple[PlannedArtifact, ...]:
    cell = _of(artifact)
    images = () if cell.ipc is None else (distilled_artifact(plan, cell),)
    needs = plan.tasks.all_needs(task.name, cell, artifact.network)
    return (data_artifact(plan, plan.data_name(cell)), *images, *training_inputs(plan, cell, needs))


def _of(artifact: PlannedArtifact) -> Cell:
    assert artifact.cell is not None, artifact
    return artifact.cell
