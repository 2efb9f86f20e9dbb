"""Pad, crop at random, mirror half of the images: the usual augmentation of small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms import operations
from bacon.transforms.augmentation import BatchAugmentation, Stream, integers

if TYPE_CHECKING:
    from bacon.settings.augmentations import CropFlip

NUMBERS = 3
"""Random numbers that :func:`crop_flip` takes for an image."""


def augmentation(settings: CropFlip) -> BatchAugmentation:
    """Crop and flip for training batches."""

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        black = None if stream.mean is None or stream.std is None else -stream.mean / stream.std
        return crop_flip(settings, images, stream.per_image("crop-flip", sizes, NUMBERS, images), black)

    return augment


def crop_flip(settings: CropFlip, images: Tensor, numbers: Tensor, black: Tensor | None = None) -> Tensor:
    """Images (N, C, H, W), each by its ``numbers`` (N, 3) in [0, 1).

    Args:
        settings: how.
        images: normalised or whitened.
        numbers: drawn.
        black: (C, 1, 1), what a pixel of 0 is once it is normalised: published code pads before it normalises. ``None``: 0.

    Raises:
        BaconError: the images are too small to be reflected.
    """
    pad, (height, width) = settings.pad, images.shape[-2:]
    if settings.fill == "reflect" and pad >= min(height, width):
        raise BaconError(f"crop_flip: {pad} pixels cannot be reflected from images of {height}x{width} pixels")
    top, left, mirror = numbers.unbind(dim=1)
    row, column = integers(top, 2 * pad + 1), integers(left, 2 * pad + 1)
    if settings.fill == "reflect":
        rows, columns = _reflected(row - pad, height), _reflected(column - pad, width)
        cropped = operations.at_pixels(images[:, None], rows, columns)
    else:
        cropped = operations.window(padded(images, pad, black)[:, None], row, column, height, width)
    return (operations.flip(cropped, [mirror]) if settings.flip else cropped)[:, 0]


def padded(images: Tensor, pad: int, black: Tensor | None) -> Tensor:
    """Images (N, C, H, W) with ``pad`` pixels of ``black`` (C, 1, 1) on each side; ``None``: of 0."""
    larger = F.pad(images, (pad,) * 4)
    if black is None:
        return larger
    outside = 1 - F.pad(torch.ones_like(images[:1, :1]), (pad,) * 4)
    return larger + outside * black.to(images.dtype)


def _reflected(start: Tensor, side: int) -> Tensor:
    """(N, side) the pixels from ``start`` (N,) on, which the border, itself not repeated, reflects back into the image."""
    place = (start[:, None] + torch.arange(side, device=start.device)).abs()
    return (side - 1) - ((side - 1) - place).abs()
