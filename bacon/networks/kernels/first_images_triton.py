# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A ConvNet's whole first block on a GPU: the gradient of the images, without the maps in memory.

The maps are made again (``first_triton``), and their gradient, formed in registers, is multiplied with the filters: each
square's share in the gradient of the 4x4 pixels under it, in the type that is multiplied. A third kernel adds for every pixel
the shares of the squares, four at most, that it lies under. There are no atomics: equal input gives equal bits.

A map's gradient is w r (u - <u> - y <u y>), with z the map, y = (z - m) r and u the spread gradient where w y + bias > 0. In z
these are two lines, whose four numbers for each map a small kernel computes first; a square's pooled gradient is scaled once
for its four pixels. Whether the ReLU passes is the first line, steep, cut to 0..1: a multiplication that a GPU cuts without a
further instruction. So a number of a map takes three multiplications. Where a gradient of the maps is not finite, that of the
images is not either, passed or not.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.first_tiles import Prepared, Shape, cut, dot_precision, load_patches, pooled_at
from bacon.networks.kernels.triton_tiles import channels_last

_SQUARES, _WARPS = 64, 4  # of a tile
_MAPS = 512  # whose factors a program computes
_PIXELS = 256  # of the images, that a program adds up
# How steep: a power of two, so that it changes no rounding; what the ReLU is given is 0 or larger than its inverse.
_STEEP = tl.constexpr(2.0**80)


@triton.jit
def _factors(
    weight,
    bias,
    mean,
    rstd,
    sum_u,
    sum_u_y,
    factors,
    maps,
    CHANNELS: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    MAPS: tl.constexpr,  # noqa: N803
):
    """Of each map: a and b, with w y + bias = (a z + b) / steep; the map's gradient where u is 0, c z + d. (N, 4, CHANNELS)."""
    number = tl.program_id(0) * MAPS + tl.arange(0, MAPS)
    exists = number < maps
    channel = number % CHANNELS
    w, shift = tl.load(weight + channel, mask=exists, other=0.0), tl.load(bias + channel, mask=exists, other=0.0)
    m, r = tl.load(mean + number, mask=exists, other=0.0), tl.load(rstd + number, mask=exists, other=0.0)
    offset = tl.load(sum_u + number, mask=exists, other=0.0) / (TOTAL * 4)
    slope = tl.load(sum_u_y + number, mask=exists, other=0.0) / (TOTAL * 4) * r
    at = factors + (number // CHANNELS).to(tl.int64) * (4 * CHANNELS) + channel
    tl.store(at, w * r * _STEEP, mask=exists)
    tl.store(at + CHANNELS, (shift - m * (w * r)) * _STEEP, mask=exists)
    tl.store(at + 2 * CHANNELS, -(w * r) * slope, mask=exists)
    tl.store(at + 3 * CHANNELS, (w * r) * (m * slope - offset), mask=exists)


@triton.jit
def _load_of_channels(at, channel, CHANNELS: tl.constexpr, WHOLE: tl.constexpr):  # noqa: N803
    """Numbers whose last axis counts channels; zero where there is no such channel. WHOLE: there is."""
    if WHOLE:
        return tl.load(at)
    else:  # noqa: RET505
        return tl.load(at, mask=channel < CHANNELS, other=0.0)


@triton.jit
def _shares(
    images,
    arranged,
    given,
    factors,
    shares,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    total: tl.constexpr = HEIGHT * WIDTH // 4
    products: tl.constexpr = 16 * LANES
    tiles: tl.constexpr = (total + SQUARES - 1) // SQUARES
    whole: tl.constexpr = CHANNELS % TOGETHER == 0
    image = (tl.program_id(0) // tiles).to(tl.int64)
    first = (tl.program_id(0) % tiles) * SQUARES
    patch = load_patches(images + image * ((HEIGHT + 2) * (WIDTH + 2) * LANES), first, HEIGHT, WIDTH, LANES, SQUARES)
    given += image * (CHANNELS * total)
    factors += image * (4 * CHANNELS)
    sums = tl.zeros((SQUARES, products), tl.float32)
    for start in tl.range(0, CHANNELS, TOGETHER, num_stages=1):
        channel = start + tl.arange(0, TOGETHER)
        a = _load_of_channels(factors + channel, channel, CHANNELS, whole)[None, None, :]
        b = _load_of_channels(factors + CHANNELS + channel, channel, CHANNELS, whole)[None, None, :]
        c = _load_of_channels(factors + 2 * CHANNELS + channel, channel, CHANNELS, whole)[None, None, :]
        d = _load_of_channels(factors + 3 * CHANNELS + channel, channel, CHANNELS, whole)[None, None, :]
        at, inside = pooled_at(start, first, CHANNELS, SQUARES, total, LAST, TOGETHER, TOGETHER)
        if whole and total % SQUARES == 0:  # noqa: SIM108 - only one of the two is compiled
            g = tl.load(given + at)
        else:
            g = tl.load(given + at, mask=inside, other=0.0)
        scaled = g.to(tl.float32)[:, None, :] * (a * (0.25 / _STEEP))
        column = start + tl.arange(0, 4 * TOGETHER) % TOGETHER
        corner = tl.arange(0, 4 * TOGETHER) // TOGETHER * (products * CHANNELS)
        at = arranged + (tl.arange(0, products) * CHANNELS)[:, None] + (corner + column)[None, :]
        filters = _load_of_channels(at, column[None, :], CHANNELS, whole)
        # The four pixels of a square on an axis of their own: what they share is then read, and computed, once.
        z = tl.reshape(tl.dot(patch, filters, input_precision=PRECISION), (SQUARES, 4, TOGETHER))
        by_z = tl.clamp(z * a + b, 0.0, 1.0) * scaled + (z * c + d)
        by_z = tl.reshape(by_z.to(patch.dtype), (SQUARES, 4 * TOGETHER))
        sums = tl.dot(by_z, tl.trans(filters), sums, input_precision=PRECISION)
    square = first + tl.arange(0, SQUARES)
    at = shares + image * (total * products) + (square * products)[:, None] + tl.arange(0, products)[None, :]
    tl.store(at, sums.to(shares.dtype.element_ty), mask=(square < total)[:, None])


@triton.jit
def _add_shares(
    shares,
    dx,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    INPUTS: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    PADDING: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    PIXELS: tl.constexpr,  # noqa: N803
):
    size: tl.constexpr = ROWS * COLUMNS
    down: tl.constexpr = ROWS // 2 + PADDING - 1
    across: tl.constexpr = COLUMNS // 2 + PADDING - 1
    blocks: tl.constexpr = (size + PIXELS - 1) // PIXELS
    image = (tl.program_id(0) // blocks).to(tl.int64)
    at = (tl.program_id(0) % blocks) * PIXELS + tl.arange(0, PIXELS)
    row, column, lane = at // COLUMNS, at % COLUMNS, tl.arange(0, LANES)
    shares += image * (down * across * 16 * LANES)
    total = tl.zeros((PIXELS, LANES), tl.float32)
    for above in tl.static_range(2):
        for before in tl.static_range(2):
            i, j = (row + PADDING) // 2 - above, (column + PADDING) // 2 - before
            pixel = (row + PADDING - 2 * i) * 4 + column + PADDING - 2 * j
            inside = (at < size) & (i >= 0) & (i < down) & (j >= 0) & (j < across)
            share = (((i * across + j) * 16 + pixel) * LANES)[:, None] + lane[None, :]
            total += tl.load(shares + share, mask=inside[:, None], other=0.0).to(tl.float32)
    place = dx + image * stride_n + (row * stride_h + column * stride_w)[:, None] + (lane * stride_c)[None, :]
    tl.store(place, total.to(dx.dtype.element_ty), mask=(at < size)[:, None] & (lane < INPUTS)[None, :])


def image_gradient(
    prepared: Prepared,
    shape: Shape,
    given: Tensor,
    norm: tuple[Tensor, ...],
    sums: Tensor,
    x: Tensor,
    *,
    precision: str,
) -> Tensor:
    """Gradient of the images, as ``x``.

    Args:
        prepared: images and filters as the kernels read them.
        shape: the sizes.
        given: (N, channels, height / 2, width / 2), contiguous or channels-last.
        norm: weight and bias (channels,), mean and 1/sd (N, channels); float32.
        sums: (2, N, channels), of u and of u y over each map (``first_back_triton``).
        x: (N, inputs, rows, columns), for the layout and type of the gradient.
        precision: of the products: bf16, tf32 or fp32.
    """
    count, total = len(x), shape.height * shape.width // 4
    maps = count * shape.channels
    factors = torch.empty(count, 4, shape.channels, dtype=torch.float32, device=x.device)
    sizes = {"CHANNELS": shape.channels, "TOTAL": total, "MAPS": _MAPS, "num_warps": 4}
    _factors[(triton.cdiv(maps, _MAPS),)](*norm, sums[0], sums[1], factors, maps, **sizes)
    cuts = cut(shape, _SQUARES, _WARPS) | {"PRECISION": dot_precision(precision), "LAST": channels_last(given)}
    shares = torch.empty(count, total, shape.products, dtype=prepared.images.dtype, device=x.device)
    grid = (count * triton.cdiv(total, cuts["SQUARES"]),)
    _shares[grid](*prepared, given, factors, shares, **shape.constants(), **cuts)
    dx = torch.empty_like(x)
    sizes = {"INPUTS": shape.inputs, "ROWS": shape.rows, "COLUMNS": shape.columns, "PADDING": shape.padding}
    grid = (count * triton.cdiv(shape.rows * shape.columns, _PIXELS),)
    _add_shares[grid](shares, dx, *dx.stride(), **sizes, LANES=shape.lanes, PIXELS=_PIXELS, num_warps=4)
    return dx
