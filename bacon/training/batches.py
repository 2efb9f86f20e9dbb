"""The batches of a recipe: ordered, augmented and mixed by draws of (seed, epoch, step), without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.draws import Seed, device_permutation
from bacon.runtime.errors import BaconError
from bacon.settings.augmentations import AUGMENTATION_MODULES
from bacon.settings.recipe import MIXING_MODULE
from bacon.training.image_set import ImageSet
from bacon.transforms.augmentation import BatchAugmentation, Stream

if TYPE_CHECKING:
    from bacon.settings.recipe import TrainingRecipe

__all__ = ["GROUP_BYTES", "IMAGES_AT_ONCE", "Batch", "Batches", "ImageSet", "batch_sizes"]

# Orders are drawn, and batches gathered and augmented, for about this many images at a time: for a set of ten images
# each batch alone would take a third of its training step. It changes no number.
IMAGES_AT_ONCE = 2048

# On a GPU a group of batches costs the host some hundred launches, however large it is, and a training step one: groups are as
# large as memory allows. This many bytes of augmented images (21,845 of 3x32x32) are made at a time where IMAGES_AT_ONCE
# has not been lowered.
GROUP_BYTES = 256 * 2**20

_FLOAT_BYTES = 4


class Batch(NamedTuple):
    """One training batch of B images of K classes.

    Attributes:
        images: (B, C, H, W) float32, normalised, augmented and mixed.
        labels: (B,) int64, the class of each image; of a mixed image, the class of its first component.
        mixed: (B, K) float32 shares of the classes in mixed images; ``None`` where the recipe does not mix.
        soft: (B, K) float32 stored soft labels, mixed in the same way; ``None`` where the recipe does not use any.
        places: (B,) int64 places of the images in the set.
    """

    images: Tensor
    labels: Tensor
    mixed: Tensor | None
    soft: Tensor | None
    places: Tensor


def batch_sizes(count: int, batch_size: int) -> list[int]:
    """Sizes of the batches of one epoch over ``count`` images; the last may be smaller."""
    whole, rest = divmod(count, batch_size)
    return [batch_size] * whole + [rest] * (rest > 0)


@dataclass(frozen=True)
class Batches:
    """The batches of all epochs of a recipe.

    Args:
        train: the training images.
        recipe: batch size, order, augmentation, mixing, number of epochs.
        seed: of order, augmentation and mixing.
        classes: number of classes K.
        purpose: first part of the names of the streams of random numbers.
        images_at_once: images computed at a time on a CPU; a GPU computes up to :data:`GROUP_BYTES` of them, fewer in
            proportion where this is lower than :data:`IMAGES_AT_ONCE`. It bounds memory and changes no draw.
    """

    train: ImageSet
    recipe: TrainingRecipe
    seed: Seed
    classes: int
    purpose: str = "evaluation"
    images_at_once: int = IMAGES_AT_ONCE

    def from_epoch(self, first_epoch: int = 0) -> Iterator[Batch]:
        """Batches of epoch ``first_epoch`` and all later ones, in order: the same as if it had begun with epoch 0."""
        train, at_once = self.train, self.group_size
        sizes = batch_sizes(len(train), self.recipe.batch_size)
        augment, total = self._augmentation(), self.recipe.total_epochs(len(train))
        epochs_at_once = max(1, at_once // len(train))
        # Groups of epochs begin where they would have begun from epoch 0: what is computed together decides about rounding.
        for first in range(first_epoch - first_epoch % epochs_at_once, total, epochs_at_once):
            epochs = torch.arange(first, min(first + epochs_at_once, total), device=train.device)
            batches = self._group(
                self._order(epochs).flatten(),
                sizes * len(epochs),
                augment,
                first_step=first * len(sizes),
                at_once=max(1, at_once // max(sizes)),
            )
            yield from islice(batches, max(0, first_epoch - first) * len(sizes), None)

    @property
    def group_size(self) -> int:
        """Images that are drawn and augmented together, rounded down to whole batches or epochs, but at least a batch."""
        if self.train.device.type == "cpu":
            return self.images_at_once
        numbers = math.prod(self.train.images.shape[1:])
        if self.recipe.mixing is not None or self._soft is not None:
            numbers += self.classes
        return max(1, GROUP_BYTES * self.images_at_once // (IMAGES_AT_ONCE * _FLOAT_BYTES * numbers))

    def _order(self, epochs: Tensor) -> Tensor:
        """(epochs, N) int64: which image stands at which place."""
        count, device = len(self.train), self.train.device
        if self.recipe.order == "shuffled":
            return device_permutation(self.seed, f"{self.purpose}-order", count=count, device=device, lanes=epochs)
        order = torch.arange(count, device=device)
        if self.recipe.order == "one_per_class":
            one_hot = F.one_hot(self.train.labels, self.classes)
            rank = (one_hot.cumsum(dim=0) * one_hot).sum(dim=1) - 1  # the how-manieth of its class an image is
            order = (rank * self.classes + self.train.labels).argsort(stable=True)
        return order.expand(len(epochs), count)

    def _group(
        self, order: Tensor, sizes: Sequence[int], augment: BatchAugmentation, *, first_step: int, at_once: int
    ) -> Iterator[Batch]:
        """Batches of consecutive steps, whose images are ``order`` (sum(sizes),), made ``at_once`` batches at a time."""
        train = self.train
        # Images on the host are gathered there; the host waits for the order once for all these batches.
        where = order if train.rows is None else order.cpu()
        for start in range(0, len(sizes), at_once):
            part = list(sizes[start : start + at_once])
            index, order = order[: sum(part)], order[sum(part) :]
            found, where = where[: sum(part)], where[sum(part) :]
            yield from self._made(index, found, part, augment, self._stream(first_step + start))

    def _made(
        self, index: Tensor, found: Tensor, sizes: list[int], augment: BatchAugmentation, stream: Stream
    ) -> Iterator[Batch]:
        """Batches of images ``index``, augmented and mixed. The iterator alone holds the group, which goes with its end."""
        images = augment(self.train.at(found), sizes, stream)
        labels = self.train.labels.index_select(0, index)
        soft = self._soft.index_select(0, index) if self._soft is not None else None
        mixed: Tensor | None = None
        if self.recipe.mixing is not None:
            images, mixed, soft = self._mix(images, labels, soft, sizes, stream)
        nothing = [None] * len(sizes)
        return map(
            Batch,
            images.split(sizes),
            labels.split(sizes),
            nothing if mixed is None else mixed.split(sizes),
            nothing if soft is None else soft.split(sizes),
            index.split(sizes),
        )

    def _stream(self, first_step: int) -> Stream:
        return Stream(
            seed=self.seed, purpose=self.purpose, first_iteration=first_step, mean=self.train.mean, std=self.train.std
        )

    @property
    def _soft(self) -> Tensor | None:
        return self.train.soft if self.recipe.labels == "stored" else None

    def _mix(
        self, images: Tensor, labels: Tensor, soft: Tensor | None, sizes: Sequence[int], stream: Stream
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Images, shares of classes and soft labels of mixed batches; soft labels are mixed in the form that they have."""
        mix: Any = import_module(MIXING_MODULE).mix
        images, partner, share = mix(self.recipe.mixing, images, sizes, stream)

        def combined(values: Tensor) -> Tensor:
            return torch.lerp(values.index_select(0, partner), values, share[:, None])

        # Not F.one_hot, which reads classes back where they are on a CPU.
        one_hot = (labels[:, None] == torch.arange(self.classes, device=labels.device)).to(images.dtype)
        return images, combined(one_hot), None if soft is None else combined(soft)

    def _augmentation(self) -> BatchAugmentation:
        """What the recipe does to batches; its module is imported when it is used."""
        settings = self.recipe.augmentation
        if settings.family == "none":
            return _unchanged
        module: Any = import_module(AUGMENTATION_MODULES[settings.family])
        augment: BatchAugmentation = module.augmentation(settings)
        return augment


def _unchanged(images: Tensor, _sizes: Sequence[int], _stream: Stream) -> Tensor:
    return images


def check_soft_labels(train: ImageSet, recipe: TrainingRecipe, classes: int) -> None:
    """Raise :class:`BaconError` where stored soft labels are of other classes than the network's."""
    if recipe.labels == "stored" and train.soft is not None and train.soft.shape[1] != classes:
        raise BaconError(f"soft labels of {train.soft.shape[1]} classes for a network of {classes} classes")
