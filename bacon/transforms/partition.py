"""Partitioned images (IDM, CVPR 2023; docs/algorithms.md, Partition): one stored image holds factor^2 small ones.

Part ``q`` of stored image ``i`` (row by row: ``q = row * factor + column``) is training image ``i * factor^2 + q``, so
labels follow with ``labels.repeat_interleave(factor**2)``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms import partition_gpu


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
    if partition_gpu.takes_kernel(images, factor):
        full: Tensor = partition_gpu.DecodedOnGpu.apply(images.flatten(0, -4), factor)
    else:
        full = decoded_by_operations(images, factor)
    return full.view(*lead, count * factor**2, channels, height, width)


def decoded_by_operations(images: Tensor, factor: int) -> Tensor:
    """The training images (N, C, H, W) of stored images (..., C, H, W), by PyTorch's operations."""
    channels, height, width = images.shape[-3:]
    grid = images.reshape(-1, channels, factor, height // factor, factor, width // factor)
    parts = grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // factor, width // factor)
    return _enlarged(parts, factor)


def _enlarged(parts: Tensor, factor: int) -> Tensor:
    """(N, C, h, w) to (N, C, factor * h, factor * w), bilinearly."""
    if parts.device.type == "cpu" or torch._C._are_functorch_transforms_active():
        return F.interpolate(parts, scale_factor=factor, mode="bilinear", align_corners=False)
    full: Tensor = Enlarge.apply(parts, factor)
    return full


class Enlarge(torch.autograd.Function):
    """Bilinear enlarging by a whole factor on a GPU, where PyTorch's gradient adds by atomics, in no fixed order."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, factor: int) -> Tensor:
        """(N, C, h, w) to (N, C, factor * h, factor * w)."""
        ctx.factor = factor
        return F.interpolate(parts, scale_factor=factor, mode="bilinear", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The transpose along rows, then along columns; differentiable."""
        by_rows = _collected(gradient.transpose(2, 3), ctx.factor).transpose(2, 3)
        return _collected(by_rows, ctx.factor), None


def _collected(gradient: Tensor, factor: int) -> Tensor:
    """What each of h pixels in the last dimension receives from the factor * h pixels that were made of them.

    The r-th of the ``factor`` pixels over a source pixel lies at (r + 1/2) / factor - 1/2 from its centre, so it took that
    share of the source pixel's neighbour on that side, or of itself at the border, and the rest of the source pixel.
    """
    over = gradient.reshape(*gradient.shape[:-1], -1, factor)  # (..., h, factor)
    away = (torch.arange(factor, dtype=gradient.dtype, device=gradient.device) + 0.5) / factor - 0.5
    own, before, after = (
        (over * weight).sum(dim=-1) for weight in (1 - away.abs(), (-away).clamp(min=0), away.clamp(min=0))
    )
    from_after = torch.cat([before[..., 1:], after[..., -1:]], dim=-1)
    from_before = torch.cat([before[..., :1], after[..., :-1]], dim=-1)
    return own + from_after + from_before


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
