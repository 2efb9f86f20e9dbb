"""IDC: gradients of partitioned images, matched class by class in networks that learn from real images (docs/algorithms.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.chunks import ClassChunk, class_chunks
from bacon.distillation.gradient_distance import image_gradient
from bacon.distillation.initialisation import noise_images, real_images
from bacon.distillation.parameter_gradients import IMAGES_TOGETHER_ON_CPU, summed_in_pieces
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.siamese import Siamese, idc_siamese
from bacon.distillation.synthetic_batch import synthetic_batch
from bacon.methods.idc.learning_networks import LearningNetworks
from bacon.methods.idc.pixels import PixelRounds
from bacon.methods.idc.real_training import RealTraining
from bacon.methods.idc.representatives import Representatives
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode, encode

if TYPE_CHECKING:
    from bacon.methods.idc.record import IDCSettings

# Second derivatives keep about so many times the maps of a forward and backward pass.
_GRAPH = 4


def squared_distance(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """(K,) sum of squared differences of the gradients (K, *shape) of each of K groups."""
    return torch.stack([(a - b).square().flatten(1).sum(dim=1) for a, b in zip(real, synthetic, strict=True)]).sum(0)


def absolute_distance(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """(K,) sum of absolute differences of the gradients (K, *shape) of each of K groups."""
    return torch.stack([(a - b).abs().flatten(1).sum(dim=1) for a, b in zip(real, synthetic, strict=True)]).sum(0)


_DISTANCES = {"squared": squared_distance, "absolute": absolute_distance}
# Parameters of so many dimensions or more are matched: weights of convolutions, or of linear layers too.
_DIMENSIONS = {"convolutions": 3, "weights": 2}


class IDC:
    """The method.

    Args:
        settings: the method's.
        context: what it is given.
    """

    terms: tuple[str, ...] = ("distance",)

    def __init__(self, settings: IDCSettings, context: Context) -> None:
        self.settings, self.context, self.real = settings, context, context.real
        self.iterations = settings.iterations
        self.representatives = Representatives(context, steps=settings.cluster_steps)
        rate = settings.image_rate(context.ipc, self.real.shape[1])
        self.rounds = PixelRounds(self._initial_images(), self.real, rate=rate, momentum=settings.momentum)
        self.training = RealTraining(settings.networks, context, passes=settings.iterations * (settings.inner - 1))
        self.learning = LearningNetworks(self.training, context, iterations=settings.iterations, inner=settings.inner)
        self.batches: list[Tensor] = []
        self.replays = RecordedSteps(context, settings.iterations * settings.inner, name="the matching of gradients")

    @property
    def images(self) -> Tensor:
        """(classes * ipc, C, H, W): the current synthetic images, normalised."""
        return self.rounds.normalised(self.rounds.pixels).flatten(0, 1)

    def synthetic(self) -> SyntheticSet:
        """The images with their classes."""
        return SyntheticSet(images=self.images.float(), classes=self.context.classes, partition=self.settings.partition)

    def state_dict(self) -> dict[str, Any]:
        """Pixels and momentum; the iteration names its network and all draws."""
        return self.rounds.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        self.rounds.load_state_dict(state)
        self.replays.clear()  # the pixels are in another place

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: steps of the images in a new network that learns between them.

        Returns:
            ``distance``, the mean over classes and steps.
        """
        found, inner = [], self.settings.inner
        for number in range(inner):
            network, occasion = self.learning.at(iteration, number), iteration * inner + number
            if self.settings.sampling == "clusters" and number % self.settings.refresh == 0:
                self.batches = self.representatives.choose(
                    network, self.settings.batch_real, "first-centroids", occasion
                )
            found.append(self.match(network, occasion))
        self.rounds.clamp()
        return {"distance": torch.stack(found).mean()}

    def match(self, network: Network, occasion: int) -> Tensor:
        """A round of steps of the images, one per class; returns the mean distance (0-d)."""
        network.train()  # as published: layers of batch norm see the statistics of each class's batch
        network.requires_grad_(False)
        for parameter in self._matched(network):
            parameter.requires_grad_(True)
        self.rounds.approach()
        given = Given(number=occasion, networks=(network,), tensors=tuple(self.batches))
        iteration = occasion // self.settings.inner
        gradient, distances = self.context.memory.within(
            lambda: self.replays(self._gradient, given),
            iteration=iteration,
            device=self.context.device,
            make_room=lambda: self.learning.make_room(iteration),
        )
        self.rounds.take(gradient)
        return distances.mean()

    def _matched(self, network: Network) -> list[nn.Parameter]:
        """The parameters whose gradients are compared."""
        least = _DIMENSIONS[self.settings.matched]
        found = [parameter for parameter in network.parameters() if parameter.ndim >= least]
        if not found:
            raise BaconError(
                f"distillation.matched: {self.settings.matched}, but network {self.context.network.architecture!r} has no "
                "convolutions: set it to weights, or choose another network"
            )
        return found

    def _gradient(self, given: Given) -> tuple[Tensor, Tensor]:
        """Gradient (classes, ipc, C, H, W) of the pixels, and the distances (classes,)."""
        (network,), pixels, occasion = given.networks, self.rounds.pixels, given.number
        parameters, strategy, seed = self._matched(network), self.settings.idc_strategy, self.context.seed
        gradient, distances = torch.empty_like(pixels), pixels.new_empty(self.real.classes)
        for chunk in self._chunks():
            classes = self.real.index(chunk.classes)
            augment = idc_siamese(strategy, seed, "idc", occasion, chunk.classes, self.real)
            indices = self._real_indices(chunk, given)
            real = self._real_gradients(chunk, indices, augment, network, parameters)
            own = pixels[classes].requires_grad_()
            augmented = augment(self._decoded(own, classes, occasion))  # (K, n, C, H, W)
            distances[classes], towards = image_gradient(
                network,
                parameters,
                augmented.detach(),
                classes[:, None].expand(augmented.shape[:2]),
                real,
                together=IMAGES_TOGETHER_ON_CPU if self.real.device.type == "cpu" else self._limit(),
                limit=self._whole(network, augmented.shape[1], self._limit() // _GRAPH),
                distance=_DISTANCES[self.settings.distance],
            )
            (gradient[classes],) = torch.autograd.grad(augmented, own, towards)
        return gradient, distances

    def _real_gradients(
        self,
        chunk: ClassChunk,
        indices: Tensor,
        augment: Siamese,
        network: Network,
        parameters: list[nn.Parameter],
    ) -> tuple[Tensor, ...]:
        """Gradient of the real images at ``indices`` of each class of the chunk: (K, *shape) for each parameter."""
        labels = self.real.index(chunk.classes)[:, None].expand(indices.shape)
        at_once = self._whole(network, chunk.batch_real, self._limit())
        return summed_in_pieces(network, parameters, augment(self.real.batch(indices)), labels, at_once=at_once)

    def _real_indices(self, chunk: ClassChunk, given: Given) -> Tensor:
        if self.settings.sampling == "clusters":
            return torch.stack([given.tensors[label] for label in chunk.classes])
        return self.real.sample_classes(
            self.context.seed, "real-batch", iteration=given.number, classes=chunk.classes, size=chunk.batch_real
        )

    def _decoded(self, pixels: Tensor, classes: Tensor, occasion: int) -> Tensor:
        """At most ``batch_synthetic`` normalised training images of each of the classes, at random."""
        decoded = decode(self.rounds.normalised(pixels), self.settings.partition)
        most, seed = self.settings.batch_synthetic, self.context.seed
        return synthetic_batch(decoded, most, seed, iteration=occasion, classes=classes)

    def _initial_images(self) -> Tensor:
        settings, ipc, seed = self.settings, self.context.ipc, self.context.seed
        if settings.init == "noise":
            return noise_images(self.real, ipc=ipc, seed=seed)
        needed = settings.real_images_needed(ipc)
        # Where a class has too few images, real_images says so.
        if settings.init == "real" or needed > min(self.real.counts):
            return real_images(self.real, ipc=ipc, partition=settings.partition, seed=seed, mode=settings.resize)
        chosen = self.representatives.choose(self.context.build(0), needed, "initial-centroids", 0)
        each = [encode(self.real.batch(of_class), settings.partition, mode=settings.resize) for of_class in chosen]
        return torch.cat(each)

    def _chunks(self) -> list[ClassChunk]:
        """Classes whose images are there at the same time."""
        settings = self.settings
        synthetic = min(self.context.ipc * settings.parts(), settings.batch_synthetic)
        return class_chunks(self.real.counts, batch_real=settings.batch_real, synthetic=synthetic, limit=self._limit())

    def _limit(self) -> int:
        return self.context.memory.images(self.real.shape)

    @staticmethod
    def _whole(network: Network, size: int, limit: int) -> int:
        """``limit``, but no less than a class's ``size`` images where batch norm takes their statistics together."""
        mixes = any(isinstance(layer, _BatchNorm) for layer in network.modules())
        return max(1, limit, size if mixes else 1)
