# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A ConvNet's whole first block on a GPU, backward: gradients of filters and norm, without the maps in memory.

The maps are made again from the copied images (``first_triton``), one pixel of the squares at a time, twice: for the sums that
the norm's gradient needs, and for the maps' gradient, which is multiplied in registers with the numbers under the squares. A
program takes a block of channels of a group of images; what each group gives is added up by a second kernel in a fixed order.
There are no atomics: equal input gives equal bits.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.first_triton import (
    Prepared,
    Shape,
    block_places,
    cut,
    dot_precision,
    load_filters,
    load_patches,
)
from bacon.networks.kernels.triton_tiles import channels_last

_PROGRAMS = 1024  # wanted of the kernel that gives the filters' gradient; each takes some images one after another
_ROWS_TOGETHER, _COLUMNS_TOGETHER = 256, 16  # of the groups' sums
_ONE_TILE = 256  # squares of a map


@triton.jit
def corner_of_squares(
    patch,
    arranged,
    corner,
    channel,
    g,
    m,
    r,
    w,
    shift,
    CHANNELS: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """Y = (z - mean) / sd, and u, the pooled gradient where the ReLU passes, at one pixel of each square of a tile."""
    z = tl.dot(patch, load_filters(arranged, corner, channel, CHANNELS, LANES), input_precision=PRECISION)
    y = (z - m[None, :]) * r[None, :]
    return y, tl.where(y * w[None, :] + shift[None, :] <= 0, 0.0, g)


@triton.jit
def _sums(
    images,
    arranged,
    given,
    channel,
    m,
    r,
    w,
    shift,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """Sums of u and of u y over one image's maps, (TOGETHER,)."""
    total: tl.constexpr = HEIGHT * WIDTH // 4
    sum_u = tl.zeros((TOGETHER,), tl.float32)
    sum_u_y = tl.zeros((TOGETHER,), tl.float32)
    for first in tl.range(0, total, SQUARES, num_stages=1):
        patch = load_patches(images, first, HEIGHT, WIDTH, LANES, SQUARES)
        at, inside = block_places(channel, first, CHANNELS, SQUARES, total, LAST)
        g = tl.load(given + at, mask=inside, other=0.0).to(tl.float32) * 0.25
        for corner in tl.static_range(4):
            y, u = corner_of_squares(patch, arranged, corner, channel, g, m, r, w, shift, CHANNELS, LANES, PRECISION)
            sum_u += tl.sum(u, axis=0)
            sum_u_y += tl.sum(u * y, axis=0)
    return sum_u, sum_u_y


@triton.jit
def _backward(
    images,
    arranged,
    given,
    weight,
    bias,
    mean,
    rstd,
    by_u,
    by_u_y,
    grouped,
    count,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    IMAGES: tl.constexpr,  # noqa: N803
    FILTERS: tl.constexpr,  # noqa: N803
):
    total: tl.constexpr = HEIGHT * WIDTH // 4
    products: tl.constexpr = 16 * LANES
    blocks: tl.constexpr = (CHANNELS + TOGETHER - 1) // TOGETHER
    group = tl.program_id(0) // blocks
    channel = (tl.program_id(0) % blocks) * TOGETHER + tl.arange(0, TOGETHER)
    exists = channel < CHANNELS
    w = tl.load(weight + channel, mask=exists, other=0.0)
    shift = tl.load(bias + channel, mask=exists, other=0.0)
    sum_u = tl.zeros((TOGETHER,), tl.float32)
    sum_u_y = tl.zeros((TOGETHER,), tl.float32)
    fa = tl.zeros((products, TOGETHER), tl.float32)
    fb = tl.zeros((products, TOGETHER), tl.float32)
    fc = tl.zeros((products, TOGETHER), tl.float32)
    fd = tl.zeros((products, TOGETHER), tl.float32)
    for number in tl.range(group * IMAGES, tl.minimum((group + 1) * IMAGES, count), num_stages=1):
        image = tl.cast(number, tl.int64)
        padded, pooled = images + image * ((HEIGHT + 2) * (WIDTH + 2) * LANES), given + image * (CHANNELS * total)
        m = tl.load(mean + image * CHANNELS + channel, mask=exists, other=0.0)
        r = tl.load(rstd + image * CHANNELS + channel, mask=exists, other=0.0)
        u, u_y = _sums(
            padded, arranged, pooled, channel, m, r, w, shift,
            CHANNELS, HEIGHT, WIDTH, LANES, LAST, TOGETHER, SQUARES, PRECISION,
        )  # fmt: skip
        sum_u += u
        sum_u_y += u_y
        tl.store(by_u + image * CHANNELS + channel, u, mask=exists)
        tl.store(by_u_y + image * CHANNELS + channel, u_y, mask=exists)
        if FILTERS:
            fa, fb, fc, fd = _add_filters(
                fa, fb, fc, fd, padded, arranged, pooled, channel, m, r, w, shift, u / (total * 4), u_y / (total * 4),
                CHANNELS, HEIGHT, WIDTH, LANES, LAST, SQUARES, PRECISION,
            )  # fmt: skip
    grouped += tl.cast(group, tl.int64) * ((4 * products + 2) * CHANNELS)
    tl.store(grouped + 4 * products * CHANNELS + channel, sum_u_y, mask=exists)
    tl.store(grouped + (4 * products + 1) * CHANNELS + channel, sum_u, mask=exists)
    if FILTERS:
        at = grouped + (tl.arange(0, products) * CHANNELS)[:, None] + channel[None, :]
        tl.store(at, fa, mask=exists[None, :])
        tl.store(at + products * CHANNELS, fb, mask=exists[None, :])
        tl.store(at + 2 * products * CHANNELS, fc, mask=exists[None, :])
        tl.store(at + 3 * products * CHANNELS, fd, mask=exists[None, :])


@triton.jit
def _add_filters(
    fa,
    fb,
    fc,
    fd,
    images,
    arranged,
    given,
    channel,
    m,
    r,
    w,
    shift,
    offset,
    slope,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """Add one image's to the gradients of the four arrangements of the filters, (products, channels) each."""
    total: tl.constexpr = HEIGHT * WIDTH // 4
    for first in tl.range(0, total, SQUARES, num_stages=1):
        patch = load_patches(images, first, HEIGHT, WIDTH, LANES, SQUARES)
        turned = tl.trans(patch)
        at, inside = block_places(channel, first, CHANNELS, SQUARES, total, LAST)
        g = tl.load(given + at, mask=inside, other=0.0).to(tl.float32) * 0.25
        for corner in tl.static_range(4):
            y, u = corner_of_squares(patch, arranged, corner, channel, g, m, r, w, shift, CHANNELS, LANES, PRECISION)
            by_z = of_map(y, u, w * r, offset, slope).to(patch.dtype)
            if corner == 0:
                fa = tl.dot(turned, by_z, fa, input_precision=PRECISION)
            elif corner == 1:
                fb = tl.dot(turned, by_z, fb, input_precision=PRECISION)
            elif corner == 2:
                fc = tl.dot(turned, by_z, fc, input_precision=PRECISION)
            else:
                fd = tl.dot(turned, by_z, fd, input_precision=PRECISION)
    return fa, fb, fc, fd


@triton.jit
def of_map(y, u, scale, offset, slope):
    """The map's gradient: scale (u - <u> - y <u y>)."""
    return scale[None, :] * (u - offset[None, :] - y * slope[None, :])


@triton.jit
def _add_groups(
    grouped,
    by_filters,
    by_norm,
    groups,
    filter_c,
    filter_i,
    filter_h,
    filter_w,
    INPUTS: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
):
    """Of one weight of every filter, or of the norm's weight or bias: the sum over groups, and over the four arrangements."""
    products: tl.constexpr = 16 * LANES
    weights: tl.constexpr = 9 * INPUTS
    tap = tl.program_id(0)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    lane, row, column = tap // 9, tap % 9 // 3, tap % 3
    corner, member = tl.arange(0, ROWS) % 4, tl.arange(0, ROWS) // 4
    product = corner * products + ((row + corner // 2) * 4 + column + corner % 2) * LANES + lane
    line = tl.where(tap < weights, product, 4 * products + tap - weights)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in range(0, groups, ROWS // 4):
        group = first + member
        wanted = (group < groups) & ((tap < weights) | (corner == 0))
        at = grouped + (group.to(tl.int64) * ((4 * products + 2) * CHANNELS) + line * CHANNELS)[:, None]
        total += tl.load(at + channel[None, :], mask=wanted[:, None] & (channel < CHANNELS)[None, :], other=0.0)
    sums = tl.sum(total, axis=0)
    at = channel * filter_c + lane * filter_i + row * filter_h + column * filter_w
    tl.store(by_filters + at, sums, mask=(channel < CHANNELS) & (tap < weights))
    tl.store(by_norm + (tap - weights) * CHANNELS + channel, sums, mask=(channel < CHANNELS) & (tap >= weights))


def backward(
    prepared: Prepared,
    shape: Shape,
    given: Tensor,
    norm: tuple[Tensor, ...],
    filters: Tensor,
    *,
    precision: str,
    by_filters: bool,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Gradients of the filters (as ``filters``), and of the norm (2, channels), from that of the pooled maps.

    Args:
        prepared: images and filters as the kernels read them.
        shape: the sizes.
        given: (N, channels, height / 2, width / 2), contiguous or channels-last.
        norm: weight and bias (channels,), mean and 1/sd (N, channels); float32.
        filters: (channels, inputs, 3, 3) float32, for the layout of its gradient.
        precision: of the products: bf16, tf32 or fp32.
        by_filters: whether the filters' gradient is wanted.

    Returns:
        The filters' gradient; that of the norm's weight and bias, (2, channels); and, for the images' gradient, the sums of u
        and of u y over each map, (2, N, channels).
    """
    count, channels, device = len(given), shape.channels, given.device
    cuts = _tiles(shape, precision)
    blocks = triton.cdiv(channels, cuts["TOGETHER"])
    images = max(1, triton.cdiv(count * blocks, _PROGRAMS))
    groups = triton.cdiv(count, images)
    sums = torch.empty(2, count, channels, dtype=torch.float32, device=device)
    grouped = torch.empty(groups, 4 * shape.products + 2, channels, dtype=torch.float32, device=device)
    constants = shape.constants() | cuts | {"LAST": channels_last(given), "IMAGES": images, "FILTERS": by_filters}
    _backward[(groups * blocks,)](*prepared, given, *norm, sums[0], sums[1], grouped, count, **constants)
    of_filters = torch.empty_like(filters)
    of_norm = torch.empty(2, channels, dtype=torch.float32, device=device)
    sizes = {"INPUTS": shape.inputs, "CHANNELS": channels, "LANES": shape.lanes}
    tables = {"ROWS": _ROWS_TOGETHER, "COLUMNS": _COLUMNS_TOGETHER, "num_warps": 4}
    _add_groups[(9 * shape.inputs + 2, triton.cdiv(channels, _COLUMNS_TOGETHER))](
        grouped, of_filters, of_norm, groups, *filters.stride(), **sizes, **tables
    )
    return of_filters if by_filters else None, of_norm, sums


def _tiles(shape: Shape, precision: str) -> dict[str, Any]:
    """Compile-time sizes of the backward kernel's tiles; one input channel has fewer numbers under a square."""
    many = shape.height * shape.width // 4 > _ONE_TILE
    squares, warps = {"bf16": (128 if many else 256, 4), "tf32": (128 if many else 256, 8), "fp32": (32, 4)}[precision]
    if shape.lanes == 1:
        squares, warps = min(squares, 64), 4
    return cut(shape, squares, warps) | {"PRECISION": dot_precision(precision)}
