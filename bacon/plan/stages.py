"""The stages of the workflow in one table: what each makes, from what, and what a job of it takes. No torch.

The files on the disk (``inventory``), ``bacon status`` and ``bacon prune``, the resources that jobs ask a scheduler
for, the outputs that the workflow asks Snakemake for and the order in time of files follow from this table. A new stage
is an entry here and a rule file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from bacon.downstream.registry import TASKS
from bacon.plan import cost
from bacon.plan.headers import read_training_header
from bacon.plan.plan import Plan
from bacon.plan.planned_artifact import (
    PlannedArtifact,
    cell_of,
    data_artifact,
    distilled_artifact,
    evaluation_artifact,
    evaluations_artifact,
    training_artifact,
    training_inputs,
)
from bacon.plan.stage import Stage
from bacon.plan.task_stages import task_stage
from bacon.plan.trainings import PlannedTraining
from bacon.settings.cells import (
    DATA,
    DISTILLED,
    EVALUATE,
    EVALUATION,
    EVALUATION_FULL,
    EVALUATIONS,
    EVALUATIONS_FULL,
    LOGS,
    TRAINED,
    Cell,
    RunBlock,
)

SIGNAL_SECONDS = 120
"""SLURM's warning before a job's time limit, for stages that write a checkpoint and end."""


def evaluations_of(plan: Plan, artifact: PlannedArtifact) -> Iterator[tuple[Plan, str]]:
    """What an artifact of the stage evaluate holds: (plan of the protocol, network) of each evaluation file."""
    if artifact.network:
        yield plan, artifact.network
        return
    yield from ((each, network) for each in plan.protocols.values() for network in plan.networks)


def _all_data(plan: Plan) -> Iterator[PlannedArtifact]:
    return (data_artifact(plan, name) for name in plan.prepared_sets)


def _all_distilled(plan: Plan) -> Iterator[PlannedArtifact]:
    return (distilled_artifact(plan, cell) for cell in plan.cells)


def _all_evaluations(plan: Plan) -> Iterator[PlannedArtifact]:
    grid = (*plan.references, *plan.cells)
    if plan.has_protocols:
        return (evaluations_artifact(plan, cell) for cell in grid)
    return (evaluation_artifact(plan, cell, network) for cell in grid for network in plan.networks)


def _evaluations(plan: Plan, wildcards: Mapping[str, str]) -> PlannedArtifact:
    cell = cell_of(wildcards)
    if "network" in wildcards:
        return evaluation_artifact(plan, cell, wildcards["network"])
    return evaluations_artifact(plan, cell)


def _all_trainings(plan: Plan) -> Iterator[PlannedArtifact]:
    return (training_artifact(training, block) for training in plan.trainings.values() for block in training.blocks)


def _training(plan: Plan, wildcards: Mapping[str, str]) -> PlannedArtifact:
    block = RunBlock(wildcards["dataset"], wildcards["training"], int(wildcards["first"]), int(wildcards["last"]))
    return training_artifact(plan.training(block.dataset, block.training), block)


def _planned(plan: Plan, artifact: PlannedArtifact) -> PlannedTraining:
    block = _block(artifact)
    return plan.training(block.dataset, block.training)


def _block(artifact: PlannedArtifact) -> RunBlock:
    assert artifact.block is not None, artifact
    return artifact.block


def _of(artifact: PlannedArtifact) -> Cell:
    assert artifact.cell is not None, artifact
    return artifact.cell


def _distillation_inputs(plan: Plan, artifact: PlannedArtifact) -> tuple[PlannedArtifact, ...]:
    cell = _of(artifact)
    same = plan.same_set(cell)
    copied = () if same is None else (distilled_artifact(plan, same),)
    return (data_artifact(plan, plan.data_name(cell)), *training_inputs(plan, cell), *copied)


def _evaluation_inputs(plan: Plan, artifact: PlannedArtifact) -> tuple[PlannedArtifact, ...]:
    cell = _of(artifact)
    images = () if cell.ipc is None else (distilled_artifact(plan, cell),)
    needs = plan.evaluation_needs(cell, artifact.network) if artifact.network else plan.all_evaluation_needs(cell)
    return (data_artifact(plan, plan.data_name(cell)), *images, *training_inputs(plan, cell, needs))


def _distillation_settings(plan: Plan, artifact: PlannedArtifact) -> dict[str, Any]:
    settings = plan.settings(_of(artifact))
    return settings.model_dump(mode="json", by_alias=True, include={"network", "distillation"})


def _evaluation_settings(plan: Plan, artifact: PlannedArtifact) -> dict[str, Any]:
    return evaluation_settings(plan, _of(artifact), artifact.network) if artifact.network else {}


def evaluation_settings(plan: Plan, cell: Cell, network: str) -> dict[str, Any]:
    """Settings of one evaluation file, as it holds them."""
    return {
        "network": plan.evaluation_network(cell, network).model_dump(mode="json"),
        "evaluation": plan.settings(cell).evaluation.model_dump(mode="json"),
    }


def _evaluation_seconds(plan: Plan, artifact: PlannedArtifact) -> float:
    cell, known = _of(artifact), _SECONDS.setdefault(plan, {})
    alike = (plan.kind(cell), artifact.network)
    if alike not in known:
        known[alike] = sum(
            cost.evaluation_seconds(each, cell, network) for each, network in evaluations_of(plan, artifact)
        )
    return known[alike]


_SECONDS: WeakKeyDictionary[Plan, dict[object, float]] = WeakKeyDictionary()
"""Plan -> time of an evaluation job of each kind of cells: no seed changes it."""


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            name="data",
            noun="data set",
            rules={"preprocess": DATA},
            gpus=0,
            folder=Path(DATA).parent,
            artifacts=_all_data,
            artifact=lambda plan, wildcards: data_artifact(plan, wildcards["dataset"]),
            inputs=lambda _plan, _artifact: (),
            settings=lambda _plan, _artifact: {},
            seconds=lambda plan, artifact: cost.whitening_seconds(plan, artifact.name),
            memory_mb=lambda plan, artifact: cost.preparing_mb(plan, artifact.name),
            log=lambda artifact: Path(LOGS) / "preprocess" / f"{artifact.name}.log",
        ),
        Stage(
            name="train",
            noun="training on the real set",
            rules={"train": TRAINED},
            gpus=1,
            folder=Path("results/training"),
            artifacts=_all_trainings,
            artifact=_training,
            inputs=lambda plan, artifact: (data_artifact(plan, _block(artifact).dataset),),
            settings=lambda plan, artifact: _planned(plan, artifact).need.identity(),
            seconds=lambda plan, artifact: cost.training_seconds(plan, _planned(plan, artifact), _block(artifact)),
            memory_mb=lambda plan, artifact: cost.training_memory_mb(plan, _planned(plan, artifact)),
            log=lambda artifact: _block(artifact).log,
            heartbeat=lambda artifact: _block(artifact).running_path,
            checkpoints=lambda artifact: _block(artifact).checkpoint_folder,
            header=read_training_header,
            beside=lambda _plan, artifact: tuple(_block(artifact).run_path(run) for run in _block(artifact).runs),
        ),
        Stage(
            name="distill",
            noun="distilled set",
            rules={"distill": DISTILLED},
            gpus=1,
            folder=Path("results/distilled"),
            artifacts=_all_distilled,
            artifact=lambda plan, wildcards: distilled_artifact(plan, cell_of(wildcards)),
            inputs=_distillation_inputs,
            settings=_distillation_settings,
            seconds=lambda plan, artifact: cost.distill_seconds(plan, _of(artifact)),
            memory_mb=lambda plan, artifact: cost.distillation_memory_mb(plan, _of(artifact)),
            log=lambda artifact: _of(artifact).distill_log,
            heartbeat=lambda artifact: _of(artifact).running_path("distill"),
            checkpoints=lambda artifact: _of(artifact).checkpoint_folder,
        ),
        Stage(
            name="evaluate",
            noun="evaluation",
            rules={"evaluate": EVALUATION, "evaluate_full": EVALUATION_FULL},
            gpus=1,
            folder=Path("results/evaluation"),
            artifacts=_all_evaluations,
            artifact=_evaluations,
            inputs=_evaluation_inputs,
            settings=_evaluation_settings,
            seconds=_evaluation_seconds,
            memory_mb=lambda plan, artifact: cost.memory_mb(plan, _of(artifact)),
            log=lambda artifact: _of(artifact).evaluate_log(artifact.network),
            heartbeat=lambda artifact: _of(artifact).running_path(artifact.network or EVALUATE),
            beside=lambda plan, artifact: tuple(
                each.evaluation_path(_of(artifact), network) for each, network in evaluations_of(plan, artifact)
            ),
            indexes={"evaluate": EVALUATIONS, "evaluate_full": EVALUATIONS_FULL},
        ),
        *map(task_stage, TASKS.values()),
    )
}  # fmt: skip
"""Name -> stage, in the order in which artifacts are made."""

GPU_RULES = tuple(rule for stage in STAGES.values() if stage.gpus for rule in stage.rules)
"""Snakemake rules whose jobs need a GPU."""

WARNED_RULES = tuple(rule for stage in STAGES.values() if stage.checkpoints for rule in stage.rules)
"""Snakemake rules whose jobs SLURM must warn before their time limit: they write a checkpoint and end."""


def gpus(plan: Plan, stage: str, *, is_scheduled: bool) -> int:
    """GPUs that a job of a stage asks for.

    Args:
        plan: with ``run.device: cpu``, no job has a use for one.
        stage: its name.
        is_scheduled: a scheduler gives each job what it asks for; otherwise GPUs count the training jobs at a time, those on a
            CPU too.
    """
    return 0 if is_scheduled and plan.config.run.device == "cpu" else STAGES[stage].gpus


def plan_artifacts(plan: Plan) -> Iterator[PlannedArtifact]:
    """Every artifact of a plan, each after those that it is made from."""
    for stage in STAGES.values():
        yield from stage.artifacts(plan)


def stage_of(artifact: PlannedArtifact) -> Stage:
    """The stage that makes an artifact."""
    return STAGES[artifact.stage]


def minutes(plan: Plan, artifact: PlannedArtifact, *, attempt: int = 1) -> int:
    """Time to ask a scheduler for; each further attempt requests as much again."""
    return cost.minutes(stage_of(artifact).seconds(plan, artifact), attempt=attempt)


def memory_mb(plan: Plan, artifact: PlannedArtifact, *, attempt: int = 1) -> int:
    """Memory to ask a scheduler for, in MB; each further attempt requests as much again."""
    return attempt * stage_of(artifact).memory_mb(plan, artifact)
