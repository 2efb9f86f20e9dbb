# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""The pass of :mod:`bacon.transforms.affine_pass` and its transpose on a GPU: one kernel each.

A program has one image, tile by tile: it finds out from the numbers of the image's group where each pixel comes from, reads the
four pixels around that place (for the transpose the 3x3 whose positions are near the pixel), colours them, sums them in a fixed
order and writes the pixel once. A weight of zero is not read, so that a shift or a mirror image costs one read. Only images
whose colour changes are read twice, first for their mean.

Kernels take pointers and sizes one by one, since Triton knows no structures: hence their long argument lists. It needs Triton,
which comes with PyTorch's CUDA builds; ``bacon.transforms.affine_pass_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Bytes of a tile: with more of them a program's numbers no longer fit its registers.
_TILE_BYTES = 4096
_WARPS = 4


@triton.jit
def _changed(value, real, channels, brightness, saturation, contrast, mean):
    """Brightness, saturation and contrast of pixels (channels, pixels); ``mean`` is that of the brightened image."""
    value = value + brightness
    grey = tl.sum(tl.where(real, value, 0.0), axis=0)[None, :] / channels
    value = (value - grey) * saturation + grey
    return (value - mean) * contrast + mean


@triton.jit
def _pixels(image, column, row, used, channel, real, width, size, REAL: tl.constexpr):  # noqa: N803
    """Pixels (channels, pixels) of an image at whole positions, zero where they are not used."""
    place = row.to(tl.int32) * width + column.to(tl.int32)
    return tl.load(image + channel * size + place, mask=real & used, other=0.0).to(REAL)


@triton.jit
def _forward(
    images,
    numbers,
    out,
    together,
    channels,
    height,
    width,
    CONSTANT: tl.constexpr,  # noqa: N803
    EDGE: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    number = tl.program_id(0)
    given = numbers + (number // together) * 14
    colored = tl.load(given).to(REAL)
    brightness = tl.load(given + 1).to(REAL) if CONSTANT else tl.load(given + 1).to(REAL) * 0
    saturation, contrast = tl.load(given + 2).to(REAL), tl.load(given + 3).to(REAL)
    xx, xy, dx = tl.load(given + 4).to(REAL), tl.load(given + 5).to(REAL), tl.load(given + 6).to(REAL)
    yx, yy, dy = tl.load(given + 7).to(REAL), tl.load(given + 8).to(REAL), tl.load(given + 9).to(REAL)
    top, bottom = tl.load(given + 10), tl.load(given + 11)
    left, right = tl.load(given + 12), tl.load(given + 13)
    size = height * width
    start = number.to(tl.int64) * channels * size
    image = images + start
    channel = tl.arange(0, CHANNELS)[:, None]
    real = channel < channels
    lane = tl.arange(0, PIXELS)[None, :]
    middle_x, middle_y = (width - 1).to(REAL) * 0.5, (height - 1).to(REAL) * 0.5
    mean = brightness
    if colored > 0:
        total = tl.zeros([CHANNELS, PIXELS], REAL)
        for first in range(0, size, PIXELS):
            place = first + lane
            total += tl.load(image + channel * size + place, mask=real & (place < size), other=0.0).to(REAL)
        mean = tl.sum(tl.sum(total, axis=1), axis=0) / (channels * size) + brightness
    for first in range(0, size, PIXELS):
        place = first + lane
        within = place < size
        row, column = place // width, place % width
        x, y = column.to(REAL) - middle_x, row.to(REAL) - middle_y
        at_x, at_y = xx * x + xy * y + dx + middle_x, yx * x + yy * y + dy + middle_y
        before_x, before_y = tl.floor(at_x), tl.floor(at_y)
        sampled = tl.zeros([CHANNELS, PIXELS], REAL)
        for tap in tl.static_range(4):
            tap_y, tap_x = before_y + tap // 2, before_x + tap % 2
            weight = (1 - tl.abs(at_y - tap_y)) * (1 - tl.abs(at_x - tap_x))
            if EDGE:
                tap_x = tl.minimum(tl.maximum(tap_x, 0.0), (width - 1).to(REAL))
                tap_y = tl.minimum(tl.maximum(tap_y, 0.0), (height - 1).to(REAL))
            inside = (tap_x >= 0) & (tap_x < width) & (tap_y >= 0) & (tap_y < height)
            used = within & inside & (weight != 0)
            value = _pixels(image, tap_x, tap_y, used, channel, real, width, size, REAL)
            if colored > 0:
                value = _changed(value, real, channels, brightness, saturation, contrast, mean)
            sampled += value * tl.where(used, weight, 0.0)
        cut = (row >= top) & (row < bottom) & (column >= left) & (column < right)
        kept = sampled * tl.where(cut, 0.0, 1.0).to(REAL)
        tl.store(out + start + channel * size + place, kept.to(out.dtype.element_ty), mask=real & within)


@triton.jit
def _collected(
    image,
    place,
    xx,
    xy,
    dx,
    yx,
    yy,
    dy,
    top,
    bottom,
    left,
    right,
    channel,
    real,
    height,
    width,
    CHANNELS: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    """What pixels ``place`` (1, pixels) receive: (channels, pixels)."""
    size = height * width
    middle_x, middle_y = (width - 1).to(REAL) * 0.5, (height - 1).to(REAL) * 0.5
    own_x, own_y = (place % width).to(REAL), (place // width).to(REAL)
    factor = 1 / (xx * yy - xy * yx)
    x, y = own_x - middle_x - dx, own_y - middle_y - dy
    near_x = tl.floor(factor * (yy * x - xy * y) + middle_x + 0.5)
    near_y = tl.floor(factor * (xx * y - yx * x) + middle_y + 0.5)
    total = tl.zeros([CHANNELS, PIXELS], REAL)
    for tap in tl.static_range(9):
        tap_y, tap_x = near_y + (tap // 3 - 1), near_x + (tap % 3 - 1)
        x, y = tap_x - middle_x, tap_y - middle_y
        away_x = tl.abs(xx * x + xy * y + dx + middle_x - own_x)
        away_y = tl.abs(yx * x + yy * y + dy + middle_y - own_y)
        weight = tl.maximum(1 - away_x, 0.0) * tl.maximum(1 - away_y, 0.0)
        inside = (tap_x >= 0) & (tap_x < width) & (tap_y >= 0) & (tap_y < height)
        cut = (tap_y >= top) & (tap_y < bottom) & (tap_x >= left) & (tap_x < right)
        used = (place < size) & inside & (weight != 0)
        value = _pixels(image, tap_x, tap_y, used, channel, real, width, size, REAL)
        total += value * tl.where(used, weight, 0.0) * tl.where(cut, 0.0, 1.0).to(REAL)
    return total


@triton.jit
def _transposed(
    gradient,
    numbers,
    out,
    together,
    channels,
    height,
    width,
    CHANNELS: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    number = tl.program_id(0)
    given = numbers + (number // together) * 14
    colored = tl.load(given).to(REAL)
    saturation, contrast = tl.load(given + 2).to(REAL), tl.load(given + 3).to(REAL)
    xx, xy, dx = tl.load(given + 4).to(REAL), tl.load(given + 5).to(REAL), tl.load(given + 6).to(REAL)
    yx, yy, dy = tl.load(given + 7).to(REAL), tl.load(given + 8).to(REAL), tl.load(given + 9).to(REAL)
    top, bottom = tl.load(given + 10), tl.load(given + 11)
    left, right = tl.load(given + 12), tl.load(given + 13)
    size = height * width
    start = number.to(tl.int64) * channels * size
    image = gradient + start
    channel = tl.arange(0, CHANNELS)[:, None]
    real = channel < channels
    lane = tl.arange(0, PIXELS)[None, :]
    mean = contrast * 0
    if colored > 0:
        total = tl.zeros([CHANNELS, PIXELS], REAL)
        for first in range(0, size, PIXELS):
            total += _collected(
                image, first + lane, xx, xy, dx, yx, yy, dy, top, bottom, left, right, channel, real, height, width,
                CHANNELS, PIXELS, REAL,
            )  # fmt: skip
        mean = tl.sum(tl.sum(total, axis=1), axis=0) / (channels * size)
    for first in range(0, size, PIXELS):
        place = first + lane
        value = _collected(
            image, place, xx, xy, dx, yx, yy, dy, top, bottom, left, right, channel, real, height, width,
            CHANNELS, PIXELS, REAL,
        )  # fmt: skip
        if colored > 0:
            value = _changed(value, real, channels, mean * 0, saturation, contrast, mean)
        tl.store(out + start + channel * size + place, value.to(out.dtype.element_ty), mask=real & (place < size))


def forward(images: Tensor, numbers: Tensor, *, constant: bool = True, edge: bool = False) -> Tensor:
    """:func:`bacon.transforms.affine_pass.passed_forward`: images (G, n, C, H, W) float32 or float64, numbers (G, 14)."""
    images, out = images.contiguous(), torch.empty(images.shape, dtype=images.dtype, device=images.device)
    grid, sizes, blocks = _launch(images)
    _forward[grid](images, numbers.contiguous(), out, *sizes, CONSTANT=constant, EDGE=edge, **blocks)
    return out


def transposed(gradient: Tensor, numbers: Tensor) -> Tensor:
    """:func:`bacon.transforms.affine_pass.passed_transposed` with a reach of one."""
    gradient, out = gradient.contiguous(), torch.empty(gradient.shape, dtype=gradient.dtype, device=gradient.device)
    grid, sizes, blocks = _launch(gradient)
    _transposed[grid](gradient, numbers.contiguous(), out, *sizes, **blocks)
    return out


def _launch(images: Tensor) -> tuple[tuple[int], tuple[int, int, int, int], dict[str, Any]]:
    """Grid; images of a group, channels, height and width; compile-time sizes."""
    groups, together, channels, height, width = images.shape
    padded = triton.next_power_of_2(channels)
    most = max(32, _TILE_BYTES // (padded * images.element_size()))
    pixels = min(most, 512, triton.next_power_of_2(height * width))
    real = tl.float64 if images.dtype == torch.float64 else tl.float32
    blocks = {"CHANNELS": padded, "PIXELS": pixels, "REAL": real, "num_warps": _WARPS}
    return (groups * together,), (together, channels, height, width), blocks
