"""FRePo: regression on the features of a network out of a pool that is trained on the synthetic set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.initialisation import first_images
from bacon.distillation.kernel_matching import regression_gradients
from bacon.distillation.lamb import LambUpdate
from bacon.distillation.network_features import NetworkFeatures
from bacon.distillation.recorded_iterations import RecordedIterations
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.variables import Variable, VariableAlgorithm, Variables
from bacon.methods.frepo.pool import PrototypePool
from bacon.networks.build import build_network
from bacon.networks.infinite_width import linear_kernel
from bacon.training.ridge_regression import centred_one_hot

if TYPE_CHECKING:
    from bacon.methods.frepo.record import FRePoSettings

_LAST_RATE = 0.1  # of the first
_USUAL_CLASSES = 10


class FRePo(VariableAlgorithm):
    """Images and their labels.

    Args:
        settings: the method's.
        context: what it is given.
    """

    terms: tuple[str, ...] = ("loss", "margin", "accuracy")

    def __init__(self, settings: FRePoSettings, context: Context) -> None:
        self.settings, self.context, self.iterations = settings, context, settings.iterations
        real = context.real
        channels, size, _ = real.shape
        build = partial(
            build_network,
            settings.own_network() or context.network,
            channels=channels,
            size=size,
            classes=real.classes,
            seed=context.seed,
            purpose="pool-network",
            device=real.device,
            dtype=real.dtype,
        )
        self.trainings = RecordedSteps(
            context, settings.iterations, name="a step of the pool's networks", reads_real=False
        )
        self.pool = PrototypePool(
            settings,
            lambda index: build(index=index),
            self.trainings,
            device=context.device,
            dtype=real.dtype,
            seed=context.seed,
        )
        images = first_images(real, init=settings.init, ipc=context.ipc, seed=context.seed)
        labels = centred_one_hot(context.classes, real.classes, real.dtype) / math.sqrt(real.classes / _USUAL_CLASSES)
        self.variables = Variables(
            classes=context.classes,
            images=Variable(images, LambUpdate(settings.lr)),
            labels=Variable(labels, LambUpdate(settings.lr) if settings.learn_labels else None),
            label_kind="logits",
        )
        self.replays = RecordedIterations(context, self.variables, settings.iterations, terms=self.terms)

    @property
    def labels(self) -> Tensor:
        """(M, K) float: the current labels."""
        assert self.variables.labels is not None, "the labels are always there"
        return self.variables.labels.values

    def state_dict(self) -> dict[str, Any]:
        """Variables with LAMB's means, and the pool."""
        return super().state_dict() | {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self.pool.load_state_dict(state["pool"])

    def rate(self, iteration: int) -> float:
        """Learning rate of an iteration: a cosine from ``lr`` to a tenth of it."""
        share = (1 + math.cos(math.pi * iteration / self.iterations)) / 2
        return self.settings.lr * (_LAST_RATE + (1 - _LAST_RATE) * share)

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: images and labels by LAMB, then the network by Adam."""
        for each in self.variables.all.values():
            if each.update is not None:
                each.update.rate = self.rate(iteration)
        given = Given(number=iteration, networks=(self.pool.draw(iteration).network,))
        terms = self.replays.iterate(self.gradients, given, iteration=iteration)
        self.pool.advance(iteration, self._current)
        return terms

    def _current(self) -> SyntheticSet:
        return SyntheticSet.unchecked(
            images=self.images, classes=self.context.classes, soft=self.labels, soft_kind="logits"
        )

    def gradients(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradient of loss plus margin by each variable, and the terms (0-d)."""
        dtype, settings = self.context.real.dtype, self.settings
        at_once = self.context.memory.images(self.context.real.shape)
        features = NetworkFeatures(given.networks, at_once=at_once)
        images, labels = self.images, self.labels.double()
        if settings.mirrored:
            images, labels = torch.cat([images, images.flip(3)]), torch.cat([labels, labels])
        real = self._real(given.number, features)
        support, back = features.traced(images)
        found = regression_gradients(linear_kernel, support, labels, real, ridge=settings.ridge)
        by_images, by_labels = back(found.support), found.labels
        if settings.mirrored:
            count = len(self.images)
            by_images = by_images[:count] + by_images[count:].flip(3)
            by_labels = by_labels[:count] + by_labels[count:]
        margin, by_margin = margin_gradient(self.labels)
        gradients = {"images": by_images}
        if settings.learn_labels:
            gradients["labels"] = by_labels.to(dtype) + by_margin
        return gradients, {"loss": found.loss.to(dtype), "margin": margin, "accuracy": found.accuracy.to(dtype)}

    def _real(self, iteration: int | Tensor, features: NetworkFeatures) -> Iterator[tuple[Tensor, Tensor]]:
        """Features and targets of an iteration's real images, in pieces."""
        real = self.context.real
        size = min(self.settings.batch_real, len(real.labels))
        places = real.sample_all(self.context.seed, "real-batch", iteration=iteration, lanes=1, size=size)[0]
        for some in places.split(self.context.memory.images(real.shape)):
            yield features.of(real.batch(some)), centred_one_hot(real.labels[some], real.classes)


def margin_gradient(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over rows of ``-min(largest - second largest, 1 / K)`` (0-d), which keeps labels apart, and its gradient.

    Args:
        labels: (M, K) float, K at least 2.
    """
    leaf = labels.detach().requires_grad_()
    first, second = leaf.topk(2, dim=1).values.unbind(dim=1)
    margin = -(first - second).clamp(max=1 / labels.shape[1]).mean()
    (gradient,) = torch.autograd.grad(margin, leaf)
    return margin.detach(), gradient
