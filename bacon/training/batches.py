"""Image sets on the device, and the training batches that an evaluation makes of one, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_permutation
from bacon.runtime.errors import BaconError
from bacon.transforms.dsa import augment_batches
from bacon.transforms.policies import augment_policy
from bacon.transforms.whitener import Whitener

if TYPE_CHECKING:
    from bacon.datasets.whitening import Whitening
    from bacon.settings.evaluation import EvaluationSettings

# Orders are drawn, and batches made and augmented, for about this many images at a time: for a set of ten images that
# costs 0.03 ms a batch, against 0.5 ms for each batch alone, a third of its training step. It changes no number.
IMAGES_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Labelled images on one device: uint8 and normalised when used, or float32 and normalised already.

    Attributes:
        images: (N, C, H, W) uint8 or float32.
        labels: (N,) int64, the class of each image, whatever it is trained with.
        soft: (N, K) float32 probabilities that training uses in place of ``labels``; ``None``: hard labels.
        scale: (C, 1, 1) float32, factor of uint8 images; ``None`` for float32 images.
        shift: (C, 1, 1) float32, added after ``scale``.
        whitener: whitens uint8 images in place of ``scale`` and ``shift``; ``None``: not asked for.
        mean: (C, 1, 1) float32 that pixels in [0, 1] are normalised with; ``None``: unknown, or whitened.
        std: (C, 1, 1) float32 likewise.
    """

    images: Tensor
    labels: Tensor
    scale: Tensor | None = None
    shift: Tensor | None = None
    whitener: Whitener | None = None
    mean: Tensor | None = None
    std: Tensor | None = None
    soft: Tensor | None = None

    def __post_init__(self) -> None:
        """Raise :class:`BaconError` for labels that are no classes: every accuracy is measured against them."""
        count = len(self.images)
        if self.labels.shape != (count,) or self.labels.dtype != torch.int64:
            raise BaconError(
                f"labels {self.labels.dtype} {tuple(self.labels.shape)} of {count} images: labels are the classes, (N,) int64; "
                "soft labels go beside them, as `soft`"
            )
        if self.soft is not None and (self.soft.ndim != 2 or len(self.soft) != count):
            raise BaconError(f"soft labels {tuple(self.soft.shape)} of {count} images: they are (N, classes)")

    @classmethod
    def of_uint8(
        cls,
        images: npt.NDArray[Any],
        labels: npt.NDArray[Any],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        whitening: Whitening | None = None,
    ) -> ImageSet:
        """Images (N, C, H, W) uint8 that become ``(x / 255 - mean) / std`` when used, or are whitened; they stay uint8."""
        channel_mean = torch.tensor(mean, dtype=torch.float64)[:, None, None]
        channel_std = torch.tensor(std, dtype=torch.float64)[:, None, None]
        return cls(
            images=torch.from_numpy(images).to(device),
            labels=torch.from_numpy(labels).to(device),
            scale=(1 / (255 * channel_std)).to(device, torch.float32),
            shift=(-channel_mean / channel_std).to(device, torch.float32),
            whitener=Whitener(whitening, device=device) if whitening is not None else None,
            mean=channel_mean.to(device, torch.float32) if whitening is None else None,
            std=channel_std.to(device, torch.float32) if whitening is None else None,
        )

    @classmethod
    def of_normalised(
        cls,
        images: Tensor,
        labels: Tensor,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        whitened: bool = False,
        soft: Tensor | None = None,
    ) -> ImageSet:
        """Images (N, C, H, W) float32 that are normalised with ``mean`` and ``std`` already, or ``whitened``."""
        mean_std = (
            torch.tensor(values, dtype=torch.float32, device=images.device)[:, None, None] for values in (mean, std)
        )
        channel_mean, channel_std = (None, None) if whitened else mean_std
        return cls(images=images, labels=labels, soft=soft, mean=channel_mean, std=channel_std)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def first(self, count: int) -> ImageSet:
        """The first ``count`` images, without a copy."""
        soft = None if self.soft is None else self.soft[:count]
        return replace(self, images=self.images[:count], labels=self.labels[:count], soft=soft)

    def normalised(self, images: Tensor) -> Tensor:
        """Some of the set's ``images`` as float32, normalised; same shape."""
        if self.whitener is not None:
            return self.whitener(images)
        if self.scale is None or self.shift is None:
            return images
        return images.to(torch.float32).mul_(self.scale).add_(self.shift)


def batch_sizes(count: int, batch_size: int) -> list[int]:
    """Sizes of the batches of one epoch over ``count`` images; the last may be smaller."""
    whole, rest = divmod(count, batch_size)
    return [batch_size] * whole + [rest] * (rest > 0)


def training_batches(
    train: ImageSet, settings: EvaluationSettings, seed: Seed, images_at_once: int = IMAGES_AT_ONCE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of all epochs, in order: shuffled by (seed, epoch), augmented by (seed, step).

    Yields:
        images (B, C, H, W) float32, normalised and augmented, and labels (B,) int64.
    """
    sizes = batch_sizes(len(train), settings.batch_size)
    epochs_at_once = max(1, images_at_once // len(train))
    for first in range(0, settings.epochs, epochs_at_once):
        epochs = torch.arange(first, min(first + epochs_at_once, settings.epochs), device=train.device)
        order = device_permutation(
            seed, "evaluation-order", count=len(train), device=train.device, lanes=epochs
        )  # (epochs, N)
        first_step, at_once = first * len(sizes), max(1, images_at_once // max(sizes))
        yield from _batches(
            train, order.flatten(), sizes * len(epochs), settings, seed, first_step=first_step, at_once=at_once
        )


def _batches(
    train: ImageSet,
    order: Tensor,
    sizes: Sequence[int],
    settings: EvaluationSettings,
    seed: Seed,
    *,
    first_step: int,
    at_once: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(sizes), at_once):
        part = list(sizes[start : start + at_once])
        index, order = order[: sum(part)], order[sum(part) :]
        images = train.normalised(train.images.index_select(0, index))
        images = _augmented(train, images, part, settings, seed, first_step + start)
        yield from zip(images.split(part), train.labels.index_select(0, index).split(part), strict=True)


def _augmented(
    train: ImageSet, images: Tensor, sizes: Sequence[int], settings: EvaluationSettings, seed: Seed, first_step: int
) -> Tensor:
    """Consecutive batches of normalised ``images``, augmented; steps ``first_step`` and on."""
    (name,) = settings.augmentations
    if name == "dsa":
        strategy = settings.dsa_strategy
        return augment_batches(strategy, images, sizes, seed, "evaluation-dsa", first_iteration=first_step)
    if name == "none":
        return images
    mirror = "flip" in settings.dsa_strategy
    batches = (
        augment_policy(
            name, batch, mean=train.mean, std=train.std, mirror=mirror, seed=seed, iteration=first_step + step
        )
        for step, batch in enumerate(images.split(list(sizes)))
    )
    return torch.cat(list(batches))
