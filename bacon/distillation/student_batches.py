"""Which synthetic images a student sees in each of its steps, and how they are augmented: pure functions of the iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_permutation
from bacon.transforms.augmentation import Stream
from bacon.transforms.dsa import BatchDraws, augment_by_numbers, batch_draws


class StudentBatches:
    """The batches of a student's steps in one iteration, as :data:`bacon.distillation.unroll.Batches` has them.

    A pass over the images is a random permutation of them in batches, the last of which may be smaller; a batch of all images
    has them in their order. One DSA operation is drawn for each step, its parameters for each image.

    Args:
        seed: distillation seed.
        iteration: of the distillation.
        steps: number of steps.
        batch: images per step; ``None`` or more than there are: all.
        strategy: DSA operations joined by "_", or "none".
        images: all synthetic images (M, C, H, W), for their number, device and dtype.
    """

    def __init__(
        self, seed: Seed, iteration: int, *, steps: int, batch: int | None, strategy: str, images: Tensor
    ) -> None:
        count = len(images)
        self._places: Sequence[Tensor] | None = None
        sizes = [count] * steps
        if batch is not None and batch < count:
            self._places = _shuffled(seed, iteration, steps=steps, batch=batch, count=count, device=images.device)
            sizes = [len(places) for places in self._places]
        self._draws: BatchDraws | None = None
        if strategy != "none":
            stream = Stream(seed=seed, purpose="student-dsa", first_iteration=iteration * steps)
            self._draws = batch_draws(strategy, sizes, stream, images)

    def __call__(self, step: int, variables: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Augmented images (B, C, H, W) and labels (B,) or (B, K) of a step, out of all images and all labels."""
        images, labels = _chosen(self._places, step, variables)
        return (images if self._draws is None else self._draws.augment(step, images)), labels

    def drawn(self, images: Tensor) -> DrawnBatches:
        """What was drawn, on the device: the same batches, to rounding, without a number of the host's.

        Args:
            images: as the class is given them.
        """
        numbers = None if self._draws is None else self._draws.numbers(images)
        return DrawnBatches(places=self._places, numbers=numbers)


@dataclass(frozen=True, kw_only=True)
class DrawnBatches:
    """The batches of an iteration as tensors, whose shapes are those of every iteration.

    Attributes:
        places: of the images of each step, (B,) int64; ``None``: all in their order.
        numbers: (B, 14) of each step, what images are augmented by, in their dtype; ``None``: they are not.
    """

    places: Sequence[Tensor] | None
    numbers: Sequence[Tensor] | None

    def tensors(self) -> tuple[Tensor, ...]:
        """All of them."""
        return (*(self.places or ()), *(self.numbers or ()))

    def with_tensors(self, tensors: Sequence[Tensor]) -> DrawnBatches:
        """Batches by ``tensors`` in the place of :meth:`tensors`."""
        count = len(self.places or ())
        places, numbers = list(tensors[:count]), list(tensors[count:])
        return DrawnBatches(places=places or None, numbers=numbers or None)

    def __call__(self, step: int, variables: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """As :class:`StudentBatches`."""
        images, labels = _chosen(self.places, step, variables)
        if self.numbers is not None:
            images = augment_by_numbers(images[:, None], self.numbers[step])[:, 0]
        return images, labels


def _chosen(places: Sequence[Tensor] | None, step: int, variables: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Images and labels of a step, before augmentation."""
    images, labels = variables
    if places is None:
        return images, labels
    return images.index_select(0, places[step]), labels.index_select(0, places[step])


def _shuffled(seed: Seed, iteration: int, *, steps: int, batch: int, count: int, device: torch.device) -> list[Tensor]:
    """Places of the images of each step, pass after pass."""
    per_pass = -(-count // batch)
    lanes = torch.arange(-(-steps // per_pass), device=device)
    orders = device_permutation(seed, "student-batch", count=count, device=device, iteration=iteration, lanes=lanes)
    return [places for order in orders for places in order.split(batch)][:steps]
