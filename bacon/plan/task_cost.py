"""How long a job of a downstream task takes, by the cost model. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.downstream.base import TaskSize
from bacon.downstream.registry import TASKS
from bacon.plan import cost

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell


def task_seconds(plan: Plan, name: str, cell: Cell, network: str, measured: cost.Measurements | None = None) -> float:
    """Time of all repetitions, the training of the cell's networks included although another task may have trained them."""
    task, tasks = TASKS[name], plan.tasks
    size = task_size(plan, cell, measured)
    work = task.cost(tasks.settings(name), size)
    data, behind = cost.data_size(plan, cell.dataset, measured), tasks.network(network)
    image = cost.operations(plan.evaluation_network(cell, behind), data.channels, data.size)
    total = work.forward * image.forward + work.image_gradient * image.image_gradient + work.training * image.training
    passes = work.passes
    if task.uses_trained and tasks.full_set_need(name, cell, network) is None:
        total += image.training * size.images * size.epochs
        passes += size.epochs * -(-size.images // plan.settings(cell).evaluation.batch_size)
    return tasks.repetitions(name, cell) * cost.seconds_of(plan, total, passes, measured)


def task_size(plan: Plan, cell: Cell, measured: cost.Measurements | None = None) -> TaskSize:
    """What a task works on."""
    settings, data = plan.settings(cell), cost.data_size(plan, cell.dataset, measured)
    images = data.train
    if cell.ipc is not None and settings.distillation is not None:
        images = cell.ipc * settings.distillation.parts() * data.classes
    evaluation = settings.evaluation
    epochs = evaluation.with_augmentation(evaluation.augmentations[0], 1.0).passes(images=images, classes=data.classes)
    return TaskSize(images=images, classes=data.classes, train=data.train, test=data.test, epochs=epochs)
