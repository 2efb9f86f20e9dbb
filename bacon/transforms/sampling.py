"""Bilinear sampling at affine positions, and its transpose, both as gathers.

PyTorch's gradient of ``F.grid_sample`` adds to the pixels that were sampled by atomics, in no fixed order on a GPU. Here
every source pixel collects instead. Output pixel q is sampled at p(q) = A q + t with weights (1 - |s - p(q)|)+ along each
axis for the source pixels s around it, so what s receives comes from the q with |A q + t - s| < 1 along both axes: within r
of A^-1 (s - t), where r is the larger sum of absolute values of a row of A^-1. For r <= 1.5 these are among the 3x3 whole
positions around it, whatever A and t are: rotations of square images (r <= 1.42) and steps of 2/3 and more stay within that.
Larger r takes more neighbours: up to ``reach`` on each side for r <= reach + 1/2.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor


class _Positions(NamedTuple):
    """Coordinates along x and y, (G, H, W) each, in pixels."""

    x: Tensor
    y: Tensor


def pixel_map(theta: Tensor, height: int, width: int) -> Tensor:
    """``theta`` (G, 2, 3) in the coordinates of ``F.affine_grid`` (-1 to 1, corners not aligned) as a map of pixels (G, 2, 3).

    Pixels are counted from the middle of the image along x and y; the last column shifts by pixels.
    """
    half = torch.cat([theta.new_full((1,), width / 2), theta.new_full((1,), height / 2)])  # a list would be waited for
    return theta * half[:, None] / torch.cat([half, theta.new_ones(1)])


def reach_of_rotations(degrees: float, height: int, width: int) -> int:
    """The reach of rotations of an image by up to ``degrees`` (at most 45) in the coordinates of ``F.affine_grid``.

    There they shear images that are not square.
    """
    angle, ratio = math.radians(degrees), max(height, width) / min(height, width)
    return max(1, math.ceil(math.cos(angle) + ratio * math.sin(angle) - 0.5))


def affine_sample(images: Tensor, position: Tensor, *, reach: int = 1) -> Tensor:
    """Sample images bilinearly at affine positions, zeros outside.

    Args:
        images: (G, M, H, W) float32 or float64.
        position: (G, 2, 3) in its dtype: x and y of the position of an output pixel, from the column and the row, all
            counted in pixels from the middle of the image, and 1. No gradient goes to it. The absolute values in each row
            of the inverse of its matrix add up to at most ``reach`` + 1/2.
        reach: neighbours on each side that the gradient of a pixel is gathered from.

    Returns:
        (G, M, H, W), differentiable in ``images`` any number of times, with the same bits every time.
    """
    if torch._C._are_functorch_transforms_active():
        return sample(images, position)
    sampled: Tensor = _Sample.apply(images, position, reach, False)
    return sampled


class _Sample(torch.autograd.Function):
    """The linear map of :func:`affine_sample`, or its transpose: each is the gradient of the other."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, position: Tensor, reach: int, transposed: bool) -> Tensor:
        ctx.save_for_backward(position)
        ctx.reach, ctx.transposed = reach, transposed
        return sample_transposed(images, position, reach=reach) if transposed else sample(images, position)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (position,) = ctx.saved_tensors
        return _Sample.apply(gradient, position, ctx.reach, not ctx.transposed), None, None, None


def sample(images: Tensor, position: Tensor, *, edge: bool = False) -> Tensor:
    """:func:`affine_sample` without a gradient: the weighted sum of the four pixels around each position.

    ``edge``: outside is the nearest pixel of the border instead of zero.
    """
    height, width = images.shape[-2:]
    at = _mapped(position, _grid(images))
    left, top = at.x.floor(), at.y.floor()
    total: Tensor | None = None
    for (row, weight_y), (column, weight_x) in product(
        ((top, top + 1 - at.y), (top + 1, at.y - top)), ((left, left + 1 - at.x), (left + 1, at.x - left))
    ):
        weight = weight_x * weight_y
        total = _added(total, images, row, column, weight if edge else weight * _inside(row, column, height, width))
    assert total is not None
    return total


def sample_transposed(gradient: Tensor, position: Tensor, *, reach: int = 1) -> Tensor:
    """What every source pixel receives from a gradient (G, M, H, W) of the sampled images, summed in a fixed order."""
    height, width = gradient.shape[-2:]
    source = _grid(gradient)
    nearest = _mapped(_inverse(position), source)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # Whole positions of output pixels, as columns and rows; the middle of an even side lies between two of them.
    column_0, row_0 = nearest.x.round(), nearest.y.round()
    total: Tensor | None = None
    for down, right in product(range(-reach, reach + 1), repeat=2):
        row, column = row_0 + down, column_0 + right
        reached = _mapped(position, _Positions(column, row), (middle_x, middle_y))
        weight = (1 - (reached.x - source.x).abs()).clamp(min=0) * (1 - (reached.y - source.y).abs()).clamp(min=0)
        total = _added(total, gradient, row, column, weight * _inside(row, column, height, width))
    assert total is not None
    return total


def _added(total: Tensor | None, images: Tensor, row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    """``total`` plus the pixels of ``images`` at (``row``, ``column``), or nearest to it, times ``weight``, all (G, H, W)."""
    height, width = images.shape[-2:]
    index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
    flat = images.flatten(-2)  # (G, M, pixels)
    found = flat.gather(2, index.flatten(1)[:, None].expand_as(flat))
    weighted = (found * weight.flatten(1)[:, None]).view_as(images)
    return weighted if total is None else total + weighted


def _grid(images: Tensor) -> _Positions:
    """Columns and rows of all pixels, (1, H, W) each."""
    rows, columns = (torch.arange(side, dtype=images.dtype, device=images.device) for side in images.shape[-2:])
    return _Positions(*torch.broadcast_tensors(columns[None, None, :], rows[None, :, None]))


def _mapped(position: Tensor, at: _Positions, middle: tuple[float, float] | None = None) -> _Positions:
    """Where pixels ``at`` go, in pixels; whole positions stay whole under shifts and mirroring, to the bit."""
    middle_x, middle_y = middle or ((at.x.shape[-1] - 1) / 2, (at.x.shape[-2] - 1) / 2)
    (xx, xy, dx), (yx, yy, dy) = (row.view(-1, 3, 1, 1).unbind(dim=1) for row in position.unbind(dim=1))
    x, y = at.x - middle_x, at.y - middle_y
    return _Positions(xx * x + xy * y + dx + middle_x, yx * x + yy * y + dy + middle_y)


def _inside(row: Tensor, column: Tensor, height: int, width: int) -> Tensor:
    return (column >= 0) & (column < width) & (row >= 0) & (row < height)


def _inverse(position: Tensor) -> Tensor:
    """The inverse of affine maps (G, 2, 3), by Cramer's rule: no solver, which would wait for the device."""
    (xx, xy, dx), (yx, yy, dy) = (row.unbind(dim=1) for row in position.unbind(dim=1))
    factor = 1 / (xx * yy - xy * yx)
    rows = ((yy, -xy, xy * dy - yy * dx), (-yx, xx, yx * dx - xx * dy))
    return torch.stack([torch.stack([factor * part for part in row], dim=1) for row in rows], dim=1)
