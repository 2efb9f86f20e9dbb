"""Class-incremental learning: at each step a network trained from scratch on the images of the classes seen so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bacon.downstream.algorithm import Measured, Measurement, TaskContext
from bacon.downstream.continual.class_steps import class_order, scores, steps_of
from bacon.downstream.image_subsets import of_classes, teacher_of_classes
from bacon.evaluation.protocol_training import trained_network
from bacon.evaluation.train_and_test import measure_network

if TYPE_CHECKING:
    from bacon.downstream.continual.record import ContinualSettings


class Continual:
    """The task on one cell."""

    def __init__(self, settings: ContinualSettings, context: TaskContext) -> None:
        self._settings, self._context = settings, context

    def measure(self, repetition: int) -> Measured:
        """One order of the classes: a network for each step."""
        order = class_order(self._context.classes, repetition % self._settings.orders)
        steps = steps_of(order, self._settings.steps)
        found: list[dict[str, Any]] = []
        seen: tuple[int, ...] = ()
        for number, arrived in enumerate(steps):
            seen = (*seen, *arrived)
            found.append(self._kept(repetition, number, seen))
        accuracies = [step["accuracy"] for step in found]
        summary = scores(accuracies, [step["class_accuracy"] for step in found], [len(step) for step in steps])
        after = [
            Measurement(metric="accuracy", at=float(len(step["class_accuracy"])), value=step["accuracy"])
            for step in found
        ]
        whole = [Measurement(metric=name, value=value) for name, value in vars(summary).items()]
        return Measured(measurements=(*after, *whole), details={"class_order": list(order), "steps": found})

    def _kept(self, repetition: int, step: int, seen: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = self._context.kept(f"{repetition}-step{step}", lambda: self._step(repetition, seen))
        return found

    def _step(self, repetition: int, seen: tuple[int, ...]) -> dict[str, Any]:
        """Train on the images of the classes seen and test on their test images; class accuracies in the order of arrival."""
        context = self._context
        whole = context.training(of_classes(context.train, seen), seed=context.seed(repetition))
        given = replace(
            whole,
            classes=len(seen),
            validation=None if whole.validation is None else of_classes(whole.validation, seen),
            teacher=None if whole.teacher is None else teacher_of_classes(whole.teacher, seen),
        )
        network = trained_network(given)
        tested = measure_network(network, of_classes(context.test, seen), classes=len(seen))
        return {"accuracy": tested.test_accuracy, "class_accuracy": tested.class_accuracy}
