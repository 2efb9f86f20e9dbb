# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg, assignment"
"""The pass of :mod:`bacon.transforms.affine_pass` and its transpose on a GPU: one kernel each.

A program has some tiles of one image: it finds out from the numbers of the image's group where each pixel comes from, reads
the four pixels around that place (for the transpose the 3x3 whose positions are near the pixel), sums them in a fixed order,
changes the sum's colour and writes the pixel once. Where a group is only shifted by whole pixels or mirrored, it reads one
pixel instead, and a weight of zero is never read. An image whose colour changes is read once more by each of its programs, for
its mean: that of what the transpose gathers is a sum over what it reads, each pixel times its weights inside the image. How an
image is divided among programs changes no bit.

Where a pixel comes from is computed once for all channels, which are apart: in tiles (channels, pixels) some versions of Triton
give each warp a channel, and every warp all that arithmetic. Kernels take pointers and sizes one by one, since Triton knows no
structures: hence their long argument lists. It needs Triton, which comes with PyTorch's CUDA builds;
``bacon.transforms.affine_pass_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_WARPS = 4
_TILE = 32 * _WARPS  # pixels that a program works on at a time: one of each thread, so that all it loads has one layout
_MEAN_TILE = 4 * _TILE  # whose mean a program adds up at a time: 16 bytes of each thread
_PROGRAMS = 2000  # wanted: some twice what 132 multiprocessors hold of eight programs each
_MOST_PARTS = 8  # programs of an image; each computes its mean


@triton.jit
def _changed(values, brightness, saturation, contrast, mean):
    """Brightness, saturation and contrast of the channels' pixels; ``mean`` is that of the brightened image."""
    grey = values[0] * 0
    for channel in tl.static_range(len(values)):
        grey += values[channel] + brightness
    grey /= len(values)
    changed = ()
    for channel in tl.static_range(len(values)):
        value = (values[channel] + brightness - grey) * saturation + grey
        changed = changed + ((value - mean) * contrast + mean,)  # noqa: RUF005 - Triton knows no unpacking
    return changed


@triton.jit
def _pixels(at, used, CHANNELS: tl.constexpr, SIZE: tl.constexpr):  # noqa: N803
    """Of each channel the pixels (pixels,) at ``at`` of the first, zero where they are not used."""
    values = ()
    for channel in tl.static_range(CHANNELS):
        values = values + (tl.load(at + channel * SIZE, mask=used, other=0.0),)  # noqa: RUF005
    return values


@triton.jit
def _added(total, at, used, weight, SIZE: tl.constexpr):  # noqa: N803
    """``total`` of each channel, and the weighted pixels at ``at`` that are used."""
    values = _pixels(at, used, len(total), SIZE)
    added = ()
    for channel in tl.static_range(len(total)):
        added = added + (total[channel] + values[channel] * weight,)  # noqa: RUF005
    return added


@triton.jit
def _inside(row, column, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    return (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)


@triton.jit
def _in_box(row, column, top, bottom, left, right):
    return (row >= top) & (row < bottom) & (column >= left) & (column < right)


@triton.jit
def _are_whole(xx, xy, dx, yx, yy, dy):
    """Whether a group is only shifted by whole pixels, and perhaps mirrored."""
    unturned = (tl.abs(xx) == 1) & (tl.abs(yy) == 1) & (xy == 0) & (yx == 0)
    return unturned & (tl.floor(dx) == dx) & (tl.floor(dy) == dy)


@triton.jit
def _positions(place, xx, xy, dx, yx, yy, dy, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    """Of pixels ``place`` (pixels,) the row and column, and where they come from: x and y."""
    row, column = (place // WIDTH).to(xx.dtype), (place % WIDTH).to(xx.dtype)
    x, y = column - (WIDTH - 1) * 0.5, row - (HEIGHT - 1) * 0.5
    at_x, at_y = xx * x + xy * y + dx + (WIDTH - 1) * 0.5, yx * x + yy * y + dy + (HEIGHT - 1) * 0.5
    return row, column, at_x, at_y


@triton.jit
def _sampled(
    image,
    at_x,
    at_y,
    within,
    EDGE: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    TAPS: tl.constexpr,  # noqa: N803
):
    """Of each channel the pixels at positions (pixels,), and the sums of the weights of what lies inside; one tap or 2x2."""
    before_x, before_y = tl.floor(at_x), tl.floor(at_y)
    column, row = before_x.to(tl.int32), before_y.to(tl.int32)
    first = image + (row * WIDTH + column)
    weights = at_x * 0
    total = ()
    for _ in tl.static_range(CHANNELS):
        total = total + (weights,)  # noqa: RUF005
    for tap in tl.static_range(TAPS):
        tap_y, tap_x = row + tap // 2, column + tap % 2
        weight = weights * 0 + 1
        if TAPS > 1:
            weight_y = at_y - before_y if tap // 2 else before_y + 1 - at_y
            weight_x = at_x - before_x if tap % 2 else before_x + 1 - at_x
            weight = weight_y * weight_x
        used = within & (weight != 0)
        if EDGE:
            tap_x = tl.minimum(tl.maximum(tap_x, 0), WIDTH - 1)
            tap_y = tl.minimum(tl.maximum(tap_y, 0), HEIGHT - 1)
            at = image + (tap_y * WIDTH + tap_x)
        else:
            used &= _inside(tap_y, tap_x, HEIGHT, WIDTH)
            at = first + (tap // 2 * WIDTH + tap % 2)
        weight = tl.where(used, weight, 0.0)
        total = _added(total, at, used, weight, HEIGHT * WIDTH)
        weights += weight
    return total, weights


@triton.jit
def _mean(image, COUNT: tl.constexpr, SUMMED: tl.constexpr):  # noqa: N803
    """Mean of all numbers of an image."""
    total = tl.zeros([SUMMED], image.dtype.element_ty)
    for first in range(0, COUNT, SUMMED):
        place = first + tl.arange(0, SUMMED)
        total += tl.load(image + place, mask=place < COUNT, other=0.0)
    return tl.sum(total, axis=0) / COUNT


@triton.jit(do_not_specialize=["together", "parts"], do_not_specialize_on_alignment=["numbers"])
def _forward(
    images,
    numbers,
    out,
    together,
    parts,
    CONSTANT: tl.constexpr,  # noqa: N803
    EDGE: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr,  # noqa: N803
    SUMMED: tl.constexpr,  # noqa: N803
):
    size: tl.constexpr = HEIGHT * WIDTH
    real: tl.constexpr = out.dtype.element_ty
    number = tl.program_id(0) // parts
    given = numbers + (number // together) * 14
    colored, saturation, contrast = tl.load(given), tl.load(given + 2), tl.load(given + 3)
    brightness = tl.load(given + 1) if CONSTANT else colored * 0
    xx, xy, dx = tl.load(given + 4), tl.load(given + 5), tl.load(given + 6)
    yx, yy, dy = tl.load(given + 7), tl.load(given + 8), tl.load(given + 9)
    top, bottom, left, right = tl.load(given + 10), tl.load(given + 11), tl.load(given + 12), tl.load(given + 13)
    start = number.to(tl.int64) * (CHANNELS * size)
    images += start
    out += start
    mean = brightness
    if colored > 0:
        mean = _mean(images, CHANNELS * size, SUMMED) + brightness
    are_whole = _are_whole(xx, xy, dx, yx, yy, dy)
    span = tl.cdiv(tl.cdiv(size, PIXELS), parts) * PIXELS
    begin = tl.program_id(0) % parts * span
    for first in range(begin, tl.minimum(begin + span, size), PIXELS):
        place = first + tl.arange(0, PIXELS)
        within = place < size
        row, column, at_x, at_y = _positions(place, xx, xy, dx, yx, yy, dy, HEIGHT, WIDTH)
        if are_whole:
            values, weights = _sampled(images, at_x, at_y, within, EDGE, CHANNELS, HEIGHT, WIDTH, 1)
        else:
            values, weights = _sampled(images, at_x, at_y, within, EDGE, CHANNELS, HEIGHT, WIDTH, 4)
        if colored > 0:  # what lies outside stays zero
            values = _changed(values, brightness * weights, saturation, contrast, mean * weights)
        keep = tl.where(_in_box(row, column, top, bottom, left, right), 0.0, 1.0).to(real)
        for channel in tl.static_range(CHANNELS):
            tl.store(out + channel * size + place, values[channel] * keep, mask=within)


@triton.jit
def _weight_inside(at, SIDE: tl.constexpr):  # noqa: N803
    """Of the two weights that a position (pixels,) along a side gives, the sum of those of pixels inside."""
    before = tl.floor(at)
    first = tl.where((before >= 0) & (before < SIDE), before + 1 - at, 0.0)
    return first + tl.where((before >= -1) & (before < SIDE - 1), at - before, 0.0)


@triton.jit
def _mean_received(
    gradient, xx, xy, dx, yx, yy, dy, top, bottom, left, right,
    CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, SUMMED: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Mean of what all pixels receive: the sum of what is given away, each pixel times its weights inside the image."""
    size: tl.constexpr = HEIGHT * WIDTH
    total = tl.zeros([SUMMED], gradient.dtype.element_ty)
    for first in range(0, size, SUMMED):
        place = first + tl.arange(0, SUMMED)
        row, column, at_x, at_y = _positions(place, xx, xy, dx, yx, yy, dy, HEIGHT, WIDTH)
        weight = _weight_inside(at_x, WIDTH)
        weight *= _weight_inside(at_y, HEIGHT)
        weight = tl.where(_in_box(row, column, top, bottom, left, right), 0.0, weight)
        values = _pixels(gradient + place, place < size, CHANNELS, size)
        for channel in tl.static_range(CHANNELS):
            total += values[channel] * weight
    return tl.sum(total, axis=0) / (CHANNELS * size)


@triton.jit
def _collected(
    gradient,
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
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    REACH: tl.constexpr,  # noqa: N803
):
    """What pixels ``place`` (pixels,) receive in each channel; they look at one pixel or at 3x3."""
    real: tl.constexpr = gradient.dtype.element_ty
    middle_x: tl.constexpr = (WIDTH - 1) * 0.5
    middle_y: tl.constexpr = (HEIGHT - 1) * 0.5
    within = place < HEIGHT * WIDTH
    own_x, own_y = (place % WIDTH).to(real), (place // WIDTH).to(real)
    factor = 1 / (xx * yy - xy * yx)
    x, y = own_x - middle_x - dx, own_y - middle_y - dy
    near_x = tl.floor(factor * (yy * x - xy * y) + (middle_x + 0.5))
    near_y = tl.floor(factor * (xx * y - yx * x) + (middle_y + 0.5))
    x, y = near_x - middle_x, near_y - middle_y
    away_x = xx * x + xy * y + dx + middle_x - own_x
    away_y = yx * x + yy * y + dy + middle_y - own_y
    first = gradient + (near_y.to(tl.int32) * WIDTH + near_x.to(tl.int32))
    total = ()
    for _ in tl.static_range(CHANNELS):
        total = total + (tl.zeros_like(away_x),)  # noqa: RUF005
    for down in tl.static_range(-REACH, REACH + 1):
        for along in tl.static_range(-REACH, REACH + 1):
            weight_x = tl.maximum(1 - tl.abs(away_x + (xx * along + xy * down)), 0.0)
            weight_y = tl.maximum(1 - tl.abs(away_y + (yx * along + yy * down)), 0.0)
            weight = weight_x * weight_y
            tap_y, tap_x = near_y + down, near_x + along
            used = within & _inside(tap_y, tap_x, HEIGHT, WIDTH) & (weight != 0)
            weight = tl.where(_in_box(tap_y, tap_x, top, bottom, left, right), 0.0, weight)
            total = _added(total, first + (down * WIDTH + along), used, weight, HEIGHT * WIDTH)
    return total


@triton.jit(do_not_specialize=["together", "parts"], do_not_specialize_on_alignment=["numbers"])
def _transposed(
    gradient,
    numbers,
    out,
    together,
    parts,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr,  # noqa: N803
    SUMMED: tl.constexpr,  # noqa: N803
):
    size: tl.constexpr = HEIGHT * WIDTH
    number = tl.program_id(0) // parts
    given = numbers + (number // together) * 14
    colored, saturation, contrast = tl.load(given), tl.load(given + 2), tl.load(given + 3)
    xx, xy, dx = tl.load(given + 4), tl.load(given + 5), tl.load(given + 6)
    yx, yy, dy = tl.load(given + 7), tl.load(given + 8), tl.load(given + 9)
    top, bottom, left, right = tl.load(given + 10), tl.load(given + 11), tl.load(given + 12), tl.load(given + 13)
    start = number.to(tl.int64) * (CHANNELS * size)
    gradient += start
    out += start
    mean = colored * 0
    if colored > 0:
        mean = _mean_received(
            gradient, xx, xy, dx, yx, yy, dy, top, bottom, left, right, CHANNELS, HEIGHT, WIDTH, SUMMED
        )
    are_whole = _are_whole(xx, xy, dx, yx, yy, dy)
    span = tl.cdiv(tl.cdiv(size, PIXELS), parts) * PIXELS
    begin = tl.program_id(0) % parts * span
    for first in range(begin, tl.minimum(begin + span, size), PIXELS):
        place = first + tl.arange(0, PIXELS)
        if are_whole:
            values = _collected(
                gradient, place, xx, xy, dx, yx, yy, dy, top, bottom, left, right, CHANNELS, HEIGHT, WIDTH, 0
            )
        else:
            values = _collected(
                gradient, place, xx, xy, dx, yx, yy, dy, top, bottom, left, right, CHANNELS, HEIGHT, WIDTH, 1
            )
        if colored > 0:
            values = _changed(values, mean * 0, saturation, contrast, mean)
        for channel in tl.static_range(CHANNELS):
            tl.store(out + channel * size + place, values[channel], mask=place < size)


def forward(images: Tensor, numbers: Tensor, *, constant: bool = True, edge: bool = False) -> Tensor:
    """:func:`bacon.transforms.affine_pass.passed_forward`: images (G, n, C, H, W) float32 or float64, numbers (G, 14)."""
    images, out = images.contiguous(), torch.empty(images.shape, dtype=images.dtype, device=images.device)
    grid, sizes, blocks = launch(images)
    _forward[grid](images, numbers.contiguous(), out, *sizes, CONSTANT=constant, EDGE=edge, **blocks)
    return out


def transposed(gradient: Tensor, numbers: Tensor) -> Tensor:
    """:func:`bacon.transforms.affine_pass.passed_transposed` with a reach of one."""
    gradient, out = gradient.contiguous(), torch.empty(gradient.shape, dtype=gradient.dtype, device=gradient.device)
    grid, sizes, blocks = launch(gradient)
    _transposed[grid](gradient, numbers.contiguous(), out, *sizes, **blocks)
    return out


def launch(images: Tensor) -> tuple[tuple[int], tuple[int, int], dict[str, Any]]:
    """Grid; images of a group and programs of an image; compile-time sizes, which depend on the sizes of an image alone."""
    groups, together, channels, height, width = images.shape
    pixels = min(_TILE, triton.next_power_of_2(height * width))
    tiles = triton.cdiv(height * width, pixels)
    parts = min(tiles, _MOST_PARTS, triton.next_power_of_2(triton.cdiv(_PROGRAMS, groups * together)))
    sizes = {"CHANNELS": channels, "HEIGHT": height, "WIDTH": width}
    blocks = sizes | {"PIXELS": pixels, "SUMMED": min(_MEAN_TILE, triton.next_power_of_2(height * width))}
    return (groups * together * parts,), (together, parts), blocks | {"num_warps": _WARPS}
