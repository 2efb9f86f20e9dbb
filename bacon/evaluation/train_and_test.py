"""Train a fresh network on an image set and test it on real images (docs/algorithms.md, Evaluation).

The accuracy is that of the LAST epoch, and test images never select anything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from bacon.evaluation.protocol_training import NetworkTraining, begun, check_converged
from bacon.evaluation.regression import KernelRegression
from bacon.runtime.clocks import Clock, own_clock
from bacon.training.batches import IMAGES_AT_ONCE, check_soft_labels
from bacon.training.image_set import ImageSet
from bacon.training.loop import Training
from bacon.training.predictions import confusion_matrix


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one trained network achieved.

    Attributes:
        test_accuracy: in [0, 1], of the whole test set after the last epoch.
        train_accuracy: in [0, 1], of the augmented training batches while the last epoch ran.
        train_loss: mean loss of the same batches; cross-entropy in nats if the recipe has no other loss.
        epochs: epochs trained.
        wall_seconds: time for building, training and testing; networks that are trained side by side share it.
        confusion: (classes, classes) counts of test images: row the true class, column the predicted one.
        class_accuracy: in [0, 1] per class, the diagonal over the row's sum; 0 for a class without test images.
        validation_accuracy: in [0, 1], of the validation split after the last epoch; ``None`` if there is none.
        curve_epochs: the epochs of ``evaluation.test_curve``, before the last.
        curve_test: test accuracy in [0, 1] after each of them.
        curve_validation: that on the validation split; empty if there is none.
    """

    test_accuracy: float
    train_accuracy: float
    train_loss: float
    epochs: int
    wall_seconds: float
    confusion: list[list[int]]
    class_accuracy: list[float]
    validation_accuracy: float | None = None
    curve_epochs: list[int] = field(default_factory=list)
    curve_test: list[float] = field(default_factory=list)
    curve_validation: list[float] = field(default_factory=list)


def train_and_test(given: NetworkTraining, test: ImageSet, *, on_epoch: Callable[[], None] = lambda: None) -> Outcome:
    """Train one network, or predict by regression where the protocol says so, and test it.

    A pure function of its arguments on one machine. Arguments and errors as :func:`trial`.
    """
    work = trial(given, test, on_epoch=on_epoch)
    while True:
        try:
            next(work)
        except StopIteration as done:
            outcome: Outcome = done.value
            return outcome


def trial(
    given: NetworkTraining, test: ImageSet, *, on_epoch: Callable[[], None] = lambda: None, clock: Clock = own_clock
) -> Generator[None, None, Outcome]:
    """:func:`train_and_test` a training step at a time, for callers who train several networks side by side.

    Args:
        given: the network; the accuracy on its validation images is reported beside the test's.
        test: the whole test set, on the same device.
        on_epoch: called after every epoch.
        clock: what the time is taken with.

    Raises:
        BaconError: training diverged, the architecture does not fit the images, or the protocol asks for something that
            does not exist: a teacher, or learned learning rates.
    """
    with clock() as seconds:
        if given.evaluation.regression != "none":
            check_soft_labels(given.train, given.recipe(), given.classes)
            outcome = _by_regression(given, test)
            on_epoch()
            return outcome
        training = begun(given)
        curve = _Curve(given, test, epochs=training.recipe.total_epochs(len(given.train)))
        while not training.is_finished:
            yield from training.next_epoch()
            curve.look(training)
            on_epoch()
        training.finish()
        tested = _tested(given, test, training.model)
        loss, correct = (total / training.seen for total in training.totals.tolist())
    check_converged(loss, training.recipe, given.seed)
    return Outcome(
        train_accuracy=correct,
        train_loss=loss,
        epochs=training.epochs,
        wall_seconds=seconds(),
        **vars(tested),
        **curve.points(),
    )


class _Curve:
    """Tests a network in training after some of its epochs, which changes nothing of the training: no draw, no weight."""

    def __init__(self, given: NetworkTraining, test: ImageSet, *, epochs: int) -> None:
        self._epochs, self._found = given.evaluation.curve_epochs(epochs), dict[int, Tested]()
        self._measure = partial(_tested, given, test)

    def look(self, training: Training) -> None:
        """Test the network that training would give if it ended with this epoch, where it is one of the points."""
        if training.epoch not in self._epochs:
            return
        model = training.model
        if training.recipe.ema is None:
            self._found[training.epoch] = self._measure(model)
        else:
            own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            model.load_state_dict(training.weights())
            self._found[training.epoch] = self._measure(model)
            model.load_state_dict(own)
        model.train()

    def points(self) -> dict[str, Any]:
        """The fields of an outcome."""
        found = self._found.values()
        return {
            "curve_epochs": list(self._found),
            "curve_test": [one.test_accuracy for one in found],
            "curve_validation": [one.validation_accuracy for one in found if one.validation_accuracy is not None],
        }


def _by_regression(given: NetworkTraining, test: ImageSet) -> Outcome:
    with own_clock() as seconds:
        model = KernelRegression(given.train, given.evaluation, given.classes)
        tested = _tested(given, test, model)
        loss, accuracy = model.fit(given.train)
    return Outcome(train_accuracy=accuracy, train_loss=loss, epochs=0, wall_seconds=seconds(), **vars(tested))


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a trained network makes of the test set; fields as in :class:`Outcome`."""

    test_accuracy: float
    confusion: list[list[int]]
    class_accuracy: list[float]
    validation_accuracy: float | None


def measure_network(
    model: nn.Module,
    test: ImageSet,
    validation: ImageSet | None = None,
    *,
    classes: int,
    images_at_once: int = IMAGES_AT_ONCE,
) -> Tested:
    """Test a trained network on the whole test set, and on the validation split if there is one."""
    confusion = confusion_matrix(model, test, classes, images_at_once)
    held_out = None if validation is None else confusion_matrix(model, validation, classes, images_at_once)
    return Tested(
        test_accuracy=int(confusion.trace()) / len(test),
        confusion=confusion.tolist(),
        class_accuracy=(confusion.diagonal() / confusion.sum(dim=1).clamp(min=1).double()).tolist(),
        validation_accuracy=None if held_out is None else int(held_out.trace()) / int(held_out.sum()),
    )


def _tested(given: NetworkTraining, test: ImageSet, model: nn.Module) -> Tested:
    """A network of a training on the test set and on the training's validation images."""
    return measure_network(model, test, given.validation, classes=given.classes, images_at_once=given.images_at_once)
