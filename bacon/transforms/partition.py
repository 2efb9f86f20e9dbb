"""Partitioned images (IDM, CVPR 2023; docs/algorithms.md, Partition): one stored image holds factor^2 small ones.

Part ``q`` of stored image ``i`` (row by row: ``q = row * factor + column``) is training image ``i * factor^2 + q``, so
labels follow with ``labels.repeat_interleave(factor**2)``.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.errors import BaconError


def decode(images: Tensor, factor: int) -> Tensor:
    """Training images of stored images: split into factor x factor parts, each brought back to full size bilinearly.

    Args:
        images: (..., n, C, H, W) float32 or float64; H and W divisible by ``factor``.
        factor: parts per side; 1 returns ``images`` itself.

    Returns:
        (..., n * factor^2, C, H, W), differentiable in ``images``.

    Raises:
        BaconError: H or W is not divisible by ``factor``.
    """
    if factor == 1:
        return images
    *lead, count, channels, height, width = images.shape
    _check_divisible(height, width, factor)
    grid = images.reshape(-1, channels, factor, height // factor, factor, width // factor)
    parts = grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // factor, width // factor)
    full = F.interpolate(parts, size=(height, width), mode="bilinear", align_corners=False)
    return full.view(*lead, count * factor**2, channels, height, width)


def encode(parts: Tensor, factor: int, *, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """Stored images of full-size images: each brought to 1/factor of its size, then tiled.

    Args:
        parts: (..., n * factor^2, C, H, W) float32 or float64; H and W divisible by ``factor``.
        factor: parts per side; 1 returns ``parts`` itself.
        mode: how images are made smaller.

    Returns:
        (..., n, C, H, W).

    Raises:
        BaconError: H or W is not divisible by ``factor``, or the number of images is not by ``factor^2``.
    """
    if factor == 1:
        return parts
    *lead, count, channels, height, width = parts.shape
    _check_divisible(height, width, factor)
    if count % factor**2:
        raise BaconError(f"partition {factor} packs {factor**2} images into one; got {count}, not a multiple.")
    size = (height // factor, width // factor)
    aligned = False if mode == "bilinear" else None
    small = F.interpolate(parts.reshape(-1, channels, height, width), size=size, mode=mode, align_corners=aligned)
    grid = small.view(-1, factor, factor, channels, *size).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(*lead, count // factor**2, channels, height, width)


def _check_divisible(height: int, width: int, factor: int) -> None:
    if height % factor or width % factor:
        raise BaconError(
            f"distillation.partition: images of {height}x{width} pixels cannot be split into {factor}x{factor} equal "
            f"parts; give a factor that divides both sides (1 turns partition off)."
        )
