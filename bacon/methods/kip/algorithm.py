"""KIP: images, and perhaps labels, on which kernel regression predicts real images best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.initialisation import first_images
from bacon.distillation.kernel_matching import RegressionGradients, balanced_places, regression_gradients
from bacon.distillation.kernels import ChosenKernel
from bacon.distillation.network_features import Representation
from bacon.distillation.recorded_iterations import RecordedIterations
from bacon.distillation.recorded_steps import Given
from bacon.distillation.variables import AdamUpdate, Variable, VariableAlgorithm, Variables
from bacon.training.ridge_regression import centred_one_hot

if TYPE_CHECKING:
    from bacon.methods.kip.record import KIPSettings


class KIP(VariableAlgorithm):
    """Kernel inducing points.

    Args:
        settings: the method's.
        context: what it is given.
    """

    terms: tuple[str, ...] = ("loss", "accuracy")

    def __init__(self, settings: KIPSettings, context: Context) -> None:
        self.settings, self.context, self.iterations = settings, context, settings.iterations
        self.kernel = ChosenKernel(settings, context)
        self._fixed = centred_one_hot(context.classes, context.real.classes)
        images = first_images(context.real, init=settings.init, ipc=context.ipc, seed=context.seed)
        learned = Variable(self._fixed.to(images.dtype), AdamUpdate(settings.lr)) if settings.learn_labels else None
        self.variables = Variables(
            classes=context.classes,
            images=Variable(images, AdamUpdate(settings.lr)),
            labels=learned,
            label_kind="logits" if learned is not None else None,
        )
        self.replays = RecordedIterations(context, self.variables, settings.iterations, terms=self.terms)

    @property
    def labels(self) -> Tensor:
        """(M, K) float64: the current labels."""
        learned = self.variables.labels
        return self._fixed if learned is None else learned.values.double()

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: a batch of real images, a step of Adam."""
        return self.replays.iterate(self.gradients, Given(number=iteration), iteration=iteration)

    def gradients(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradient of the loss by each variable, and loss and accuracy (0-d) of real images."""
        found, by_images = self._regression(given.number)
        classes = self.context.real.classes
        gradients = {"images": by_images / classes}
        if self.variables.labels is not None:
            gradients["labels"] = (found.labels / classes).to(self.images.dtype)
        dtype = self.context.real.dtype
        return gradients, {"loss": (found.loss / classes).to(dtype), "accuracy": found.accuracy.to(dtype)}

    def _regression(self, iteration: int | Tensor) -> tuple[RegressionGradients, Tensor]:
        representation = self.kernel.representation()
        support, back = representation.traced(self.images)
        real = self._real(iteration, representation)
        found = regression_gradients(self.kernel.of, support, self.labels, real, ridge=self.settings.ridge)
        return found, back(found.support)

    def _real(self, iteration: int | Tensor, representation: Representation) -> Iterator[tuple[Tensor, Tensor]]:
        """Representations and targets of an iteration's real images, in pieces."""
        real, context = self.context.real, self.context
        size = self.settings.batch_real
        places = balanced_places(real, context.seed, "real-batch", iteration=iteration, size=size)
        for some in places.split(context.memory.images(real.shape)):
            with torch.no_grad():
                images = representation.of(real.batch(some))
            yield images, centred_one_hot(real.labels[some], real.classes)
