"""Gradient matching: synthetic images whose gradients point where those of real images do (docs/algorithms.md, DC).

A toolkit for methods, DC itself as it is. An iteration takes a new network and alternates: a step of the images towards equal
gradients, then some epochs of the network on the images.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bacon.distillation.algorithm import Context
from bacon.distillation.chunks import ClassChunk, class_chunks
from bacon.distillation.gradient_distance import image_gradient
from bacon.distillation.initialisation import first_images
from bacon.distillation.inner_training import InnerTraining
from bacon.distillation.parameter_gradients import IMAGES_TOGETHER_ON_CPU, matched_parameters, summed_in_pieces
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.siamese import Siamese, dsa_siamese
from bacon.distillation.variables import MomentumUpdate, Variable, VariableAlgorithm, Variables
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.gradient_matching import GradientMatchingSettings

# Second derivatives keep about so many times the maps of a forward and backward pass.
_GRAPH = 4
# Real images of each class that running statistics are taken from (published code).
_STATISTICS_IMAGES = 16


class GradientMatching(VariableAlgorithm):
    """Matches the gradients of every class, one network per iteration.

    Args:
        settings: the method's.
        context: what it is given.
    """

    terms: tuple[str, ...] = ("distance", "loss")

    def __init__(self, settings: GradientMatchingSettings, context: Context) -> None:
        self.settings, self.context, self.real = settings, context, context.real
        self.iterations, self.loops = settings.iterations, settings.loops(context.ipc)
        self.strategy = settings.matching_strategy()
        update = MomentumUpdate(settings.lr_img, momentum=settings.momentum)
        images = first_images(self.real, init=settings.init, ipc=context.ipc, seed=context.seed)
        self.variables = Variables(classes=context.classes, images=Variable(images, update))
        trainings = settings.iterations * (self.loops.outer - 1)
        self.training = InnerTraining(settings, self.strategy, context, epochs=self.loops.inner, trainings=trainings)
        steps = settings.iterations * self.loops.outer
        self.replays = RecordedSteps(context, steps, name="the matching of gradients")

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: steps of the images, and epochs of a new network between them.

        Returns:
            ``distance``, the mean of the distances that were compared, and ``loss``, their sum in a step; means over the steps.
        """
        network, found = self.context.build(iteration), []
        for step in range(self.loops.outer):
            found.append(self.match(network, iteration, step))
            if step + 1 < self.loops.outer:
                self.training(network, self.images, iteration, step)
        distances = torch.stack(found)  # (steps, 2)
        return dict(zip(self.terms, distances.mean(dim=0), strict=True))

    def match(self, network: Network, iteration: int, step: int) -> Tensor:
        """Move the images by one step; returns (2,) the mean distance and the loss."""
        occasion, at_once = iteration * self.loops.outer + step, self.settings.sums_classes(iteration, step)
        self._prepare(network, occasion)
        given = Given(number=occasion, networks=(network,))
        gradient, distances = self.context.memory.within(
            lambda: self.replays(partial(self._given_gradient, at_once=at_once), given, kind=at_once),
            iteration=iteration,
            device=self.context.device,
        )
        self.variables.step({"images": gradient})
        return torch.stack([distances.mean(), distances.sum()])

    @torch.no_grad()
    def _prepare(self, network: Network, occasion: int) -> None:
        """Evaluation mode; running statistics of batch norm move towards those of some real images first (published code)."""
        network.requires_grad_(False)
        for parameter in matched_parameters(network):
            parameter.requires_grad_(True)
        if any(isinstance(layer, _BatchNorm) for layer in network.modules()):
            network.train()
            each = (
                self._real_indices(ClassChunk((label,), min(_STATISTICS_IMAGES, count)), "batch-norm", occasion)[0]
                for label, count in enumerate(self.real.counts)
            )
            network(self.real.batch(torch.cat(list(each))))
        network.eval()

    def _real_indices(self, chunk: ClassChunk, purpose: str, occasion: int) -> Tensor:
        return self.real.sample_classes(
            self.context.seed, purpose, iteration=occasion, classes=chunk.classes, size=chunk.batch_real
        )

    def _given_gradient(self, given: Given, *, at_once: bool) -> tuple[Tensor, Tensor]:
        (network,) = given.networks
        return self._gradient(network, given.number, at_once=at_once)

    def _gradient(self, network: Network, occasion: int, *, at_once: bool) -> tuple[Tensor, Tensor]:
        """Gradient of the loss with respect to the images, and the distances (classes,) or, of all at once, (1,)."""
        if at_once:
            return self._mean_gradient(network, occasion)
        gradient = torch.empty_like(self.images).unflatten(0, (self.real.classes, self.context.ipc))
        distances = self.images.new_empty(self.real.classes)
        for chunk in self._chunks():
            classes, augment = self.real.index(chunk.classes), self._siamese(chunk, occasion)
            real = self._real_gradients(chunk, augment, network, occasion)
            gradient[classes], distances[classes] = self._towards(real, chunk, augment, network)
        return gradient.flatten(0, 1), distances

    def _mean_gradient(self, network: Network, occasion: int) -> tuple[Tensor, Tensor]:
        """All classes as one group: the mean of their real gradients, and the gradient of all synthetic images."""
        totals: list[Tensor] = []
        for chunk in self._chunks():
            found = self._real_gradients(chunk, self._siamese(chunk, occasion), network, occasion)
            sums = [gradient.sum(dim=0, keepdim=True) / self.real.classes for gradient in found]
            totals = [total + part for total, part in zip(totals, sums, strict=True)] if totals else sums
        everything = ClassChunk(tuple(range(self.real.classes)), 0)
        gradient, distance = self._towards(
            totals, everything, self._siamese(everything, occasion), network, as_one=True
        )
        return gradient.flatten(0, 1), distance

    def _real_gradients(
        self, chunk: ClassChunk, augment: Siamese, network: Network, occasion: int
    ) -> tuple[Tensor, ...]:
        """Gradient of a batch of real images of each class of the chunk: (K, *shape) for each matched parameter."""
        indices = self._real_indices(chunk, "real-batch", occasion)
        images = augment(self.real.batch(indices))
        labels = self.real.index(chunk.classes)[:, None].expand(indices.shape)
        return summed_in_pieces(network, matched_parameters(network), images, labels, at_once=self._limit())

    def _towards(
        self,
        real: list[Tensor] | tuple[Tensor, ...],
        chunk: ClassChunk,
        augment: Siamese,
        network: Network,
        *,
        as_one: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Gradient (K, ipc, C, H, W) of the distances, and the distances, for the synthetic images of the chunk's classes."""
        classes = self.real.index(chunk.classes)
        images = self.images.unflatten(0, (self.real.classes, self.context.ipc))[classes].detach().requires_grad_()
        augmented = augment(images)
        labels = classes[:, None].expand(augmented.shape[:2])
        groups = (1, -1) if as_one else augmented.shape[:2]
        distances, gradient = image_gradient(
            network,
            matched_parameters(network),
            augmented.detach().flatten(0, 1).unflatten(0, groups),
            labels.flatten().unflatten(0, groups),
            real,
            together=IMAGES_TOGETHER_ON_CPU if self.real.device.type == "cpu" else self._limit(),
            limit=max(1, self._limit() // _GRAPH),
        )
        (moved,) = torch.autograd.grad(augmented, images, gradient.reshape(augmented.shape))
        return moved, distances

    def _siamese(self, chunk: ClassChunk, occasion: int) -> Siamese:
        return dsa_siamese(self.strategy, self.context.seed, occasion, chunk.classes, self.real)

    def _chunks(self) -> list[ClassChunk]:
        """Classes whose real images are there at the same time."""
        settings, ipc = self.settings, self.context.ipc
        return class_chunks(self.real.counts, batch_real=settings.batch_real, synthetic=ipc, limit=self._limit())

    def _limit(self) -> int:
        return self.context.memory.images(self.real.shape)
