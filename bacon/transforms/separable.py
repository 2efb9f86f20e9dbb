"""Samplings whose rows and columns are chosen apart, with gradients that are sums in a fixed order.

PyTorch's gradients of ``gather`` and ``F.grid_sample`` add to the pixels that were read by atomics, in no fixed order on a GPU.
Here they are two matrix products for each group, with a matrix of the rows and one of the columns.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def pixels(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels of images (G, M, H, W) at ``rows`` (G, h) and ``columns`` (G, w) int64: (G, M, h, w)."""
    if images.device.type == "cpu" or torch._C._are_functorch_transforms_active():
        return _gathered(images, rows, columns)
    found: Tensor = Pixels.apply(images, rows, columns)
    return found


def bilinear(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (G, M, H, W) sampled at ``rows`` (G, h) and ``columns`` (G, w): (G, M, h, w).

    Positions are -1 to 1 over the image's side (corners not aligned), none beyond the centres of its outer pixels.
    """
    if images.device.type == "cpu" or torch._C._are_functorch_transforms_active():
        return _sampled(images, rows, columns)
    found: Tensor = Bilinear.apply(images, rows, columns)
    return found


class Pixels(torch.autograd.Function):
    """:func:`pixels` on a GPU."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """As :func:`pixels`."""
        ctx.save_for_backward(rows, columns)
        ctx.size = images.shape[-2:]
        return _gathered(images, rows, columns)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Products with matrices of ones and zeros."""
        found = (
            place[:, :, None] == torch.arange(side, device=place.device)
            for place, side in zip(ctx.saved_tensors, ctx.size, strict=True)
        )
        return _transposed(gradient, *found), None, None


class Bilinear(torch.autograd.Function):
    """:func:`bilinear` on a GPU."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """As :func:`bilinear`."""
        ctx.save_for_backward(rows, columns)
        ctx.size = images.shape[-2:]
        return _sampled(images, rows, columns)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Products with matrices of the weights of the two pixels around each position."""
        weights = []
        for place, side in zip(ctx.saved_tensors, ctx.size, strict=True):
            position = ((place + 1) * side - 1) / 2
            away = position[:, :, None] - torch.arange(side, dtype=place.dtype, device=place.device)
            weights.append((1 - away.abs()).clamp(min=0))
        return _transposed(gradient, *weights), None, None


def _gathered(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    index = (rows[:, :, None] * images.shape[-1] + columns[:, None, :]).flatten(1)[:, None]
    found = images.flatten(-2).gather(2, index.expand(-1, images.shape[1], -1))
    return found.view(*images.shape[:2], rows.shape[1], columns.shape[1])


def _sampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=3)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _transposed(gradient: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows^T gradient columns`` for weights (G, h, H) and (G, w, W), in float64, which no setting of a GPU rounds."""
    collected = rows.double().transpose(1, 2)[:, None] @ gradient.double() @ columns.double()[:, None]
    return collected.to(gradient.dtype)
