# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""Decoding partitioned images on a GPU, and its transpose: one kernel each, which reads images as they are stored.

A pixel of a decoded image gathers from the four stored pixels around it. A stored pixel gathers, in a fixed order, from the
2 factor x 2 factor decoded pixels that may have read it, so that two runs give the same bits. Neither reads beyond its part.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.transforms.partition_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS = 1024  # of a program
_WARPS = 4


@triton.jit
def _plane(channels, FACTOR: tl.constexpr):  # noqa: N803
    """Of a program's decoded plane: where it is, and where its stored image's is, in planes; its row and column of parts."""
    plane = tl.program_id(0)
    channel, decoded = plane % channels, plane // channels
    part, stored = decoded % (FACTOR * FACTOR), decoded // (FACTOR * FACTOR)
    return plane, stored * channels + channel, part // FACTOR, part % FACTOR


@triton.jit
def _position(at, FACTOR: tl.constexpr, last, REAL: tl.constexpr):  # noqa: N803
    """Where in its part, of pixels 0 to ``last``, the pixel ``at`` of a decoded image is read, beyond the border at it."""
    where = (at.to(REAL) + 0.5) / FACTOR - 0.5
    return tl.minimum(tl.maximum(where, 0.0), last.to(REAL))


@triton.jit
def _decoded(
    images, out, channels, height, width,
    FACTOR: tl.constexpr, PIXELS: tl.constexpr, REAL: tl.constexpr,  # noqa: N803
):  # fmt: skip
    plane, stored, part_row, part_column = _plane(channels, FACTOR)
    size, rows, columns = height * width, height // FACTOR, width // FACTOR
    place = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    real = place < size
    y = _position(place // width, FACTOR, rows - 1, REAL)
    x = _position(place % width, FACTOR, columns - 1, REAL)
    top, left = tl.floor(y), tl.floor(x)
    below, right = y - top, x - left
    part = images + stored.to(tl.int64) * size + part_row * rows * width + part_column * columns
    row, column = top.to(tl.int32), left.to(tl.int32)
    next_row, next_column = tl.minimum(row + 1, rows - 1), tl.minimum(column + 1, columns - 1)
    above_left = tl.load(part + row * width + column, mask=real, other=0.0)
    above_right = tl.load(part + row * width + next_column, mask=real, other=0.0)
    below_left = tl.load(part + next_row * width + column, mask=real, other=0.0)
    below_right = tl.load(part + next_row * width + next_column, mask=real, other=0.0)
    upper = (1 - right) * above_left + right * above_right
    lower = (1 - right) * below_left + right * below_right
    tl.store(out + plane.to(tl.int64) * size + place, (1 - below) * upper + below * lower, mask=real)


@triton.jit
def _collected(
    gradient, out, channels, height, width,
    FACTOR: tl.constexpr, PIXELS: tl.constexpr, REAL: tl.constexpr,  # noqa: N803
):  # fmt: skip
    plane, stored, part_row, part_column = _plane(channels, FACTOR)
    size, rows, columns = height * width, height // FACTOR, width // FACTOR
    own = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    real = own < rows * columns
    row, column = own // columns, own % columns
    given = gradient + plane.to(tl.int64) * size
    total = tl.zeros([PIXELS], REAL)
    for down in tl.static_range(2 * FACTOR):
        at_row = row * FACTOR + down - FACTOR // 2
        away = tl.abs(_position(at_row, FACTOR, rows - 1, REAL) - row.to(REAL))
        share = tl.maximum(1 - away, 0.0)
        within = real & (at_row >= 0) & (at_row < height)
        along = tl.zeros([PIXELS], REAL)
        for across in tl.static_range(2 * FACTOR):
            at_column = column * FACTOR + across - FACTOR // 2
            away = tl.abs(_position(at_column, FACTOR, columns - 1, REAL) - column.to(REAL))
            weight = tl.maximum(1 - away, 0.0)
            used = within & (at_column >= 0) & (at_column < width)
            along += weight * tl.load(given + at_row * width + at_column, mask=used, other=0.0)
        total += share * along
    part = out + stored.to(tl.int64) * size + part_row * rows * width + part_column * columns
    tl.store(part + row * width + column, total, mask=real)


def decoded(images: Tensor, factor: int) -> Tensor:
    """(N * factor^2, C, H, W) float32 or float64 of stored images (N, C, H, W); :func:`bacon.transforms.partition.decode`."""
    count, channels, height, width = images.shape
    out = images.new_empty(count * factor**2, channels, height, width)
    pixels = min(_PIXELS, triton.next_power_of_2(height * width))
    grid = (count * factor**2 * channels, triton.cdiv(height * width, pixels))
    _decoded[grid](images.contiguous(), out, channels, height, width, factor, pixels, _real(images), num_warps=_WARPS)
    return out


def collected(gradient: Tensor, factor: int) -> Tensor:
    """The transpose of :func:`decoded`: (N * factor^2, C, H, W) to (N, C, H, W)."""
    count, channels, height, width = gradient.shape
    out = gradient.new_empty(count // factor**2, channels, height, width)
    own = height * width // factor**2
    pixels = min(_PIXELS, triton.next_power_of_2(own))
    grid = (count * channels, triton.cdiv(own, pixels))
    gradient = gradient.contiguous()
    _collected[grid](gradient, out, channels, height, width, factor, pixels, _real(gradient), num_warps=_WARPS)
    return out


def _real(images: Tensor) -> tl.dtype:
    return tl.float64 if images.dtype == torch.float64 else tl.float32
