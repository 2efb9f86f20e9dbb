"""A network that learns from real images between two steps of the synthetic ones: augmented, with CutMix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.networks.network import Network
from bacon.runtime.draws import device_permutation
from bacon.settings.augmentations import Idc
from bacon.settings.recipe import CutMix
from bacon.training.batches import batch_sizes
from bacon.training.sgd import Sgd
from bacon.training.steps import SuccessiveTraining
from bacon.transforms.augmentation import Stream
from bacon.transforms.idc import augmentation
from bacon.transforms.mixing import mix

if TYPE_CHECKING:
    from bacon.methods.idc.record import RealTrainingSettings


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive batches that are augmented at once.

    Attributes:
        tensors: images (n, C, H, W), classes (n,) int64 and shares of the classes (n, classes), one batch after the other.
        sizes: images of each batch.
    """

    tensors: tuple[Tensor, ...]
    sizes: tuple[int, ...]

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """Images, classes and shares of each batch."""
        return zip(*(tensor.split(self.sizes) for tensor in self.tensors), strict=True)


class RealTraining:
    """Passes of SGD over some random real images.

    Args:
        settings: batches, optimiser, augmentation, CutMix.
        context: real images, seed, memory.
        passes: how many there will be; on a GPU, many steps are worth recording.
    """

    def __init__(self, settings: RealTrainingSettings, context: Context, *, passes: int) -> None:
        self._settings, self._context, self._real = settings, context, context.real
        self._augment = augmentation(Idc(strategy=settings.idc_strategy))
        train = len(self._real.labels)
        self._images = min(settings.steps(train) * settings.batch, train)
        self._steps = SuccessiveTraining(context.device, passes * settings.steps(train))

    @property
    def is_recorded(self) -> bool:
        """Whether steps are worth recording."""
        return self._steps.is_recorded

    def optimiser(self, network: Network) -> Sgd:
        """The optimiser of a new network."""
        settings = self._settings
        return Sgd(network.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)

    def begin(self, network: Network, iteration: int) -> Sgd:
        """The optimiser of a new network, after its passes over all real images if there are any."""
        optimiser = self.optimiser(network)
        self._train(network, optimiser, self.warm_up(iteration))
        return optimiser

    def __call__(self, network: Network, optimiser: Sgd, occasion: int) -> None:
        """A pass after step ``occasion`` of the images, counted over the whole distillation."""
        self._train(network, optimiser, self.after(occasion))

    def warm_up(self, iteration: int) -> Iterator[Piece]:
        """Passes over all real images, before the first step of the images."""
        train = len(self._real.labels)
        for epoch in range(self._settings.warmup_epochs):
            order = device_permutation(
                self._context.seed,
                "idc-warm-up",
                count=train,
                device=self._real.device,
                iteration=iteration,
                lanes=epoch,
            )
            yield from self._pieces(order, (iteration, epoch), "idc-warm-up")

    def after(self, occasion: int) -> Iterator[Piece]:
        """The pass after step ``occasion`` of the images, counted over the whole distillation."""
        if self._images:
            indices = self._real.sample_all(
                self._context.seed, "idc-training", iteration=occasion, lanes=1, size=self._images
            )[0]
            yield from self._pieces(indices, (occasion,), "idc-training")

    def _train(self, network: Network, optimiser: Sgd, pieces: Iterable[Piece]) -> None:
        network.requires_grad_(True).train()
        for piece in pieces:
            self._steps(network, optimiser, piece.batches())

    def _pieces(self, indices: Tensor, at: tuple[int, ...], purpose: str) -> Iterator[Piece]:
        """Consecutive batches of the images at ``indices``; as many at once as memory holds."""
        size = self._settings.batch
        together = max(1, self._context.memory.images(self._real.shape) // size)
        for number, some in enumerate(indices.split(together * size)):
            stream = Stream(seed=(self._context.seed, *at), purpose=purpose, first_iteration=number * together)
            sizes = batch_sizes(len(some), size)
            images = self._augment(self._real.batch(some), sizes, stream)
            labels = self._real.labels[some]
            shares = F.one_hot(labels, self._real.classes).to(images.dtype)
            if self._settings.cutmix:
                mixing = CutMix(probability=self._settings.cutmix)
                images, partner, share = mix(mixing, images, sizes, stream)
                shares = torch.lerp(shares.index_select(0, partner), shares, share[:, None])
            yield Piece(tensors=(images, labels, shares), sizes=tuple(sizes))
