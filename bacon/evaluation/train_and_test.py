"""Train a fresh network on an image set and test it on real images (docs/algorithms.md, Evaluation).

The accuracy is that of the LAST epoch, and test images never select anything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from bacon.evaluation.protocol_training import begun, check_converged
from bacon.evaluation.regression import KernelRegression
from bacon.runtime.clocks import Clock, own_clock
from bacon.training.batches import IMAGES_AT_ONCE, check_soft_labels
from bacon.training.image_set import ImageSet
from bacon.training.loop import Training
from bacon.training.predictions import Teacher, confusion_matrix

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.network import NetworkSettings


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


def train_and_test(
    train: ImageSet,
    test: ImageSet,
    *,
    network: NetworkSettings,
    evaluation: EvaluationSettings,
    classes: int,
    seed: tuple[int, int],
    validation: ImageSet | None = None,
    teacher: Teacher | None = None,
    on_epoch: Callable[[], None] = lambda: None,
    images_at_once: int = IMAGES_AT_ONCE,
) -> Outcome:
    """Train one network, or predict by regression where the protocol says so, and test it.

    A pure function of its arguments on one machine. Arguments as :func:`trial`.
    """
    work = trial(
        train,
        test,
        network=network,
        evaluation=evaluation,
        classes=classes,
        seed=seed,
        validation=validation,
        teacher=teacher,
        on_epoch=on_epoch,
        images_at_once=images_at_once,
    )
    while True:
        try:
            next(work)
        except StopIteration as done:
            outcome: Outcome = done.value
            return outcome


def trial(
    train: ImageSet,
    test: ImageSet,
    *,
    network: NetworkSettings,
    evaluation: EvaluationSettings,
    classes: int,
    seed: tuple[int, int],
    validation: ImageSet | None = None,
    teacher: Teacher | None = None,
    on_epoch: Callable[[], None] = lambda: None,
    images_at_once: int = IMAGES_AT_ONCE,
    clock: Clock = own_clock,
) -> Generator[None, None, Outcome]:
    """:func:`train_and_test` a training step at a time, for callers who train several networks side by side.

    Args:
        train: the training images, decoded.
        test: the whole test set, on the same device.
        network: the architecture.
        evaluation: the protocol, of a single augmentation (``with_augmentation``); its seed counts are not used.
        classes: number of classes.
        seed: (distillation seed, evaluation seed), which key initialisation, order and augmentation.
        validation: images held out of the training set, on the same device; their accuracy is reported beside the test's.
        teacher: labels each batch, where the protocol's labels come from a teacher.
        on_epoch: called after every epoch.
        images_at_once: bounds memory; changes no draw, and results by rounding at the most.
        clock: what the time is taken with.

    Raises:
        BaconError: training diverged, the architecture does not fit the images, or the protocol asks for something that
            does not exist: a teacher, or learned learning rates.
    """
    with clock() as seconds:
        if evaluation.regression != "none":
            check_soft_labels(train, evaluation.recipe(images=len(train), classes=classes, rates=train.rates), classes)
            outcome = _by_regression(train, test, evaluation, classes, validation, images_at_once)
            on_epoch()
            return outcome
        training = begun(
            train,
            network=network,
            evaluation=evaluation,
            classes=classes,
            seed=seed,
            validation=validation,
            teacher=teacher,
            images_at_once=images_at_once,
        )
        epochs = evaluation.curve_epochs(training.recipe.total_epochs(len(train)))
        curve = _Curve(epochs, test, validation, classes, images_at_once)
        while not training.is_finished:
            yield from training.next_epoch()
            curve.look(training)
            on_epoch()
        training.finish()
        tested = measure_network(training.model, test, validation, classes=classes, images_at_once=images_at_once)
        loss, correct = (total / training.seen for total in training.totals.tolist())
    check_converged(loss, training.recipe, seed)
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

    def __init__(
        self, epochs: Sequence[int], test: ImageSet, validation: ImageSet | None, classes: int, images_at_once: int
    ) -> None:
        self._epochs, self._found = epochs, dict[int, Tested]()
        self._measure = partial(
            measure_network, test=test, validation=validation, classes=classes, images_at_once=images_at_once
        )

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


def _by_regression(
    train: ImageSet,
    test: ImageSet,
    evaluation: EvaluationSettings,
    classes: int,
    validation: ImageSet | None,
    images_at_once: int,
) -> Outcome:
    with own_clock() as seconds:
        model = KernelRegression(train, evaluation, classes)
        tested = measure_network(model, test, validation, classes=classes, images_at_once=images_at_once)
        loss, accuracy = model.fit(train)
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
