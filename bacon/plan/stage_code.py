"""The modules that compute each stage: the roots of its code fingerprint. No torch.

What a stage loads by name, a method's algorithm or an architecture, is no import that a file shows. It is named here, so that a
new one makes nothing stale and a change of one reaches the cells that use it.
"""

from __future__ import annotations

from bacon.downstream.base import Task
from bacon.methods.base import Method
from bacon.networks.registry import architecture_module
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import modules_of
from bacon.settings.training_need import TrainingNeed

DATA_MODULES = ("bacon.datasets.prepare",)
DISTILL_MODULES = ("bacon.distillation.driver",)
TRAIN_MODULES = ("bacon.training.real_set",)
EVALUATE_MODULES = ("bacon.evaluation.evaluate_cell",)
TASK_MODULES = ("bacon.downstream.run_task",)


def distill_modules(method: Method, network: NetworkSettings) -> tuple[str, ...]:
    """Modules that compute a distilled set in a network; the method's are those that its record names."""
    return (*DISTILL_MODULES, *method.modules, architecture_module(network))


def train_modules(need: TrainingNeed) -> tuple[str, ...]:
    """Modules that train the networks of a need on the real set."""
    return (*TRAIN_MODULES, *modules_of(need.recipe), architecture_module(need.network))


def evaluate_modules(network: NetworkSettings) -> tuple[str, ...]:
    """Modules that train and test a network."""
    return (*EVALUATE_MODULES, architecture_module(network))


def task_modules(task: Task, network: NetworkSettings) -> tuple[str, ...]:
    """Modules that run a downstream task with a network."""
    return (*TASK_MODULES, *task.modules, architecture_module(network))
