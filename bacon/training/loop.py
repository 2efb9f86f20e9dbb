"""Train a fresh network on an image set and test it on real images (docs/algorithms.md, Evaluation; the protocol of DC and DM).

SGD with momentum and weight decay, cross-entropy, DSA with parameters per image, learning rate divided by ten half way;
the accuracy is that of the LAST epoch, and test images never select anything. Networks are trained one after another: five
at once with grouped convolutions gain on one core only below 40 images (0.8 against 1.3 ms a step at 10 images of 16x16,
2.7 against 2.6 ms at 40), and each network's bits would depend on how many share the job. Two at once on a core each take
as long as one after the other on both (33.4 and 33.3 ms an epoch and network at CIFAR-10, IPC 1; 320 and 311 ms at IPC 10),
and with five networks a core would stand idle at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.networks.build import build_network
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.training.batches import IMAGES_AT_ONCE, ImageSet, batch_sizes, training_batches
from bacon.training.sgd import Sgd
from bacon.training.steps import training_step, worth_recording

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.network import NetworkSettings

_LR_DROP = 0.1
_TEST_SHARE = 4  # a quarter of the images that are made at once are classified at once


class DivergedError(BaconError):
    """The loss of a network is no finite number after training."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one trained network achieved.

    Attributes:
        test_accuracy: in [0, 1], of the whole test set after the last epoch.
        train_accuracy: in [0, 1], of the augmented training batches while the last epoch ran.
        train_loss: mean cross-entropy in nats, likewise.
        epochs: epochs trained.
        wall_seconds: time for building, training and testing.
        confusion: (classes, classes) counts of test images: row the true class, column the predicted one.
        class_accuracy: in [0, 1] per class, the diagonal over the row's sum; 0 for a class without test images.
        validation_accuracy: in [0, 1], of the validation split after the last epoch; ``None`` where there is none.
    """

    test_accuracy: float
    train_accuracy: float
    train_loss: float
    epochs: int
    wall_seconds: float
    confusion: list[list[int]]
    class_accuracy: list[float]
    validation_accuracy: float | None = None


def train_and_test(
    train: ImageSet,
    test: ImageSet,
    *,
    network: NetworkSettings,
    evaluation: EvaluationSettings,
    classes: int,
    seed: tuple[int, int],
    validation: ImageSet | None = None,
    on_epoch: Callable[[], None] = lambda: None,
    images_at_once: int = IMAGES_AT_ONCE,
) -> Outcome:
    """Train one network and test it; a pure function of its arguments on one machine.

    Args:
        train: the training images, decoded.
        test: the whole test set, on the same device.
        network: the architecture.
        evaluation: the protocol, of a single augmentation (``with_augmentation``); its seed counts are not used.
        classes: number of classes.
        seed: (distillation seed, evaluation seed), which key initialisation, order and augmentation.
        validation: images held out of the training set, on the same device; their accuracy is reported beside the test's.
        on_epoch: called after every epoch.
        images_at_once: bounds memory; changes no draw, and results by rounding at the most.

    Raises:
        BaconError: training diverged, or the architecture does not fit the images.
    """
    start = time.perf_counter()
    model = _initial(network, train, classes, seed)
    running = _train(model, train, evaluation, seed, on_epoch, images_at_once)
    confusion = confusion_matrix(model, test, classes, images_at_once)
    held_out = None if validation is None else confusion_matrix(model, validation, classes, images_at_once)
    loss, correct = (total / len(train) for total in running.tolist())
    _check_converged(loss, evaluation, seed)
    return Outcome(
        test_accuracy=int(confusion.trace()) / len(test),
        train_accuracy=correct,
        train_loss=loss,
        epochs=evaluation.epochs,
        wall_seconds=time.perf_counter() - start,
        confusion=confusion.tolist(),
        class_accuracy=(confusion.diagonal() / confusion.sum(dim=1).clamp(min=1).double()).tolist(),
        validation_accuracy=None if held_out is None else int(held_out.trace()) / int(held_out.sum()),
    )


def _initial(network: NetworkSettings, train: ImageSet, classes: int, seed: tuple[int, int]) -> Network:
    """The network before training, with the weights of its seed."""
    return build_network(
        network,
        channels=train.images.shape[1],
        size=train.images.shape[2],
        classes=classes,
        seed=seed,
        purpose="evaluation-network",
        device=train.device,
    )


def _check_converged(loss: float, settings: EvaluationSettings, seed: tuple[int, int]) -> None:
    if not loss < float("inf"):
        raise DivergedError(
            f"evaluation seed {seed[1]}: the training loss of the last epoch is {loss}: training diverged. "
            f"Lower evaluation.lr_net (now {settings.lr_net}), or check that the distilled images are finite."
        )


def _train(
    model: Network,
    train: ImageSet,
    settings: EvaluationSettings,
    seed: tuple[int, int],
    on_epoch: Callable[[], None],
    images_at_once: int = IMAGES_AT_ONCE,
) -> Tensor:
    """Train ``model`` in place; returns (2,) float64: sum of losses and number correct during the last epoch."""
    steps = len(batch_sizes(len(train), settings.batch_size))
    recorded = worth_recording(train.device, steps * settings.epochs)
    step = training_step(model, _optimiser(model, settings, settings.lr_net), record=recorded)
    for index, (images, labels) in enumerate(training_batches(train, settings, seed, images_at_once)):
        epoch, place = divmod(index, steps)
        if place == 0 and epoch == settings.epochs - 1:
            step.count()
        step(images, labels)
        if place == steps - 1:
            if epoch == settings.lr_drop_epoch() and epoch < settings.epochs - 1:
                step = training_step(model, _optimiser(model, settings, settings.lr_net * _LR_DROP), record=recorded)
            on_epoch()
    return step.totals


def _optimiser(model: Network, settings: EvaluationSettings, lr: float) -> Sgd:
    return Sgd(model.parameters(), lr=lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


@torch.no_grad()
def confusion_matrix(model: Network, images: ImageSet, classes: int, images_at_once: int = IMAGES_AT_ONCE) -> Tensor:
    """(classes, classes) int64 counts, row the label, column the largest logit, on the CPU; leaves the model in eval mode."""
    model.eval()
    counts = torch.zeros(classes * classes, dtype=torch.int64, device=images.device)
    size = max(1, images_at_once // _TEST_SHARE)
    for batch, labels in zip(images.images.split(size), images.labels.split(size), strict=True):
        place = labels * classes + model(images.normalised(batch)).argmax(dim=1)
        # Added, not counted: bincount would wait for the device.
        counts.index_add_(0, place, torch.ones_like(place))
    return counts.view(classes, classes).cpu()
