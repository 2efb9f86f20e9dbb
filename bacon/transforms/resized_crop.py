"""Random resized crops (Szegedy et al., 2015; torchvision's RandomResizedCrop) of batches, drawn for each image.

A crop has a random share of the area and a random aspect ratio, both of the first of ten tries that fits; where none does, it
is the central one of the nearest ratio. It is resized to full size bilinearly, only from its own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms import operations
from bacon.transforms.augmentation import BatchAugmentation, Stream
from bacon.transforms.separable import bilinear

if TYPE_CHECKING:
    from bacon.settings.augmentations import RandomResizedCrop

_TRIES = 10
NUMBERS = 2 * _TRIES + 2
"""Random numbers that :func:`crop_box` takes for a crop."""


def augmentation(settings: RandomResizedCrop) -> BatchAugmentation:
    """Random resized crops for training batches, after tiles are shuffled and before mirroring where asked for."""

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        if settings.patches > 1:
            drawn = stream.per_image("patches", sizes, 2 * settings.patches, images)
            images = shuffle_patches(images, tile_order(drawn))
        numbers = stream.per_image("resized-crop", sizes, 2 * _TRIES + 3, images)
        box = crop_box(settings.scale, settings.ratio, numbers, *images.shape[-2:])
        cropped = resized(images, box)
        return operations.flip(cropped[:, None], [numbers[:, -1]])[:, 0] if settings.flip else cropped

    return augment


def crop_box(
    scale: tuple[float, float], ratio: tuple[float, float], numbers: Tensor, height: int, width: int
) -> Tensor:
    """Top, left, height and width of each crop in whole pixels.

    Args:
        scale: smallest and largest share of the area.
        ratio: smallest and largest width / height; drawn uniformly in its logarithm.
        numbers: (N, 22 or more) in [0, 1): ten for areas, ten for ratios, two for the place.
        height: of the images.
        width: of the images.

    Returns:
        (N, 4) int64.
    """
    numbers = numbers.double()
    area = height * width * (scale[0] + (scale[1] - scale[0]) * numbers[:, :_TRIES])
    low, high = (math.log(each) for each in ratio)
    aspect = torch.exp(low + (high - low) * numbers[:, _TRIES : 2 * _TRIES])
    widths, heights = torch.round(torch.sqrt(area * aspect)), torch.round(torch.sqrt(area / aspect))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    central = _central(ratio, height, width)
    # The first try that fits; the column after the last one stands for the central crop.
    first = torch.cat([fits, torch.ones_like(fits[:, :1])], dim=1).to(torch.int8).argmax(dim=1, keepdim=True)
    found = [
        torch.cat([tried, torch.full_like(tried[:, :1], fallback)], dim=1).gather(1, first)[:, 0]
        for tried, fallback in ((heights, central[0]), (widths, central[1]))
    ]
    none_fits = first[:, 0] == _TRIES
    corner = [
        torch.where(none_fits, (side - size) // 2, torch.floor(number * (side - size + 1)))
        for number, side, size in zip(
            numbers[:, 2 * _TRIES : 2 * _TRIES + 2].unbind(dim=1), (height, width), found, strict=True
        )
    ]
    return torch.stack([*corner, *found], dim=1).long()


def _central(ratio: tuple[float, float], height: int, width: int) -> tuple[int, int]:
    """Height and width of the largest central crop whose ratio is allowed."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def resized(images: Tensor, box: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Crops ``box`` (N, 4) of ``images`` (N, C, H, W), each brought to a size bilinearly (corners not aligned).

    Args:
        images: float images.
        box: top, left, height and width of each crop in pixels.
        size: height and width of the result; ``None``: those of ``images``.
    """
    height, width = size or (images.shape[-2], images.shape[-1])
    rows = _positions(box[:, 0], box[:, 2], images.shape[-2], height, images.dtype)
    columns = _positions(box[:, 1], box[:, 3], images.shape[-1], width, images.dtype)
    return bilinear(images, rows, columns)


def _positions(start: Tensor, size: Tensor, side: int, count: int, dtype: torch.dtype) -> Tensor:
    """(N, count) where to sample, -1 to 1 over the image's side; never beyond the centres of the crop's outer pixels."""
    steps = torch.arange(count, device=start.device, dtype=torch.float64) + 0.5
    inside = (steps * (size[:, None] / count) - 0.5).clamp(min=0).minimum(size[:, None] - 1.0)
    return ((2 * (start[:, None] + inside) + 1) / side - 1).to(dtype)


def tile_order(numbers: Tensor) -> Tensor:
    """Where the tiles of images come from: the columns of tiles are shuffled, and the rows, but no tile by itself (RDED).

    Args:
        numbers: (N, 2 tiles a side) in [0, 1), whose order in each half is the order of rows, and of columns.

    Returns:
        (N, tiles a side squared) int64, as :func:`shuffle_patches` takes it.
    """
    rows, columns = (half.argsort(dim=1, stable=True) for half in numbers.chunk(2, dim=1))
    return (rows[:, :, None] * rows.shape[1] + columns[:, None, :]).flatten(1)


def shuffle_patches(images: Tensor, order: Tensor) -> Tensor:
    """Images (N, C, H, W) whose tiles, row by row, are those at ``order`` (N, tiles) of the originals.

    Raises:
        BaconError: a side is not divisible by the number of tiles along it.
    """
    count, channels, height, width = images.shape
    tiles = math.isqrt(order.shape[1])
    if height % tiles or width % tiles:
        raise BaconError(
            f"shuffle_patches: images of {height}x{width} pixels cannot be cut into {tiles}x{tiles} equal tiles"
        )
    grid = images.view(count, channels, tiles, height // tiles, tiles, width // tiles)
    parts = grid.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (N, tiles^2, C, h, w)
    shuffled = parts.gather(1, order[:, :, None, None, None].expand_as(parts))
    placed = shuffled.view(count, tiles, tiles, channels, height // tiles, width // tiles)
    return placed.permute(0, 3, 1, 4, 2, 5).reshape(images.shape)
