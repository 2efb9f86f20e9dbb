"""Which synthetic images a student sees in each of its steps, and how they are augmented: pure functions of the iteration."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_permutation
from bacon.transforms.augmentation import Stream
from bacon.transforms.dsa import BatchDraws, batch_draws


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
        images, labels = variables
        if self._places is not None:
            places = self._places[step]
            images, labels = images.index_select(0, places), labels.index_select(0, places)
        return (images if self._draws is None else self._draws.augment(step, images)), labels


def _shuffled(seed: Seed, iteration: int, *, steps: int, batch: int, count: int, device: torch.device) -> list[Tensor]:
    """Places of the images of each step, pass after pass."""
    per_pass = -(-count // batch)
    lanes = torch.arange(-(-steps // per_pass), device=device)
    orders = device_permutation(seed, "student-batch", count=count, device=device, iteration=iteration, lanes=lanes)
    return [places for order in orders for places in order.split(batch)][:steps]
