# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A ConvNet's whole first block on a GPU: the gradient of the images, without the maps in memory.

The maps are made again (``first_triton``), and their gradient, formed in registers, is multiplied with the filters: each
square's share in the gradient of the 4x4 pixels under it. A second kernel adds for every pixel the shares of the squares, four
at most, that it lies under. There are no atomics: equal input gives equal bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.first_back_triton import load_given, normalised_tile, of_map
from bacon.networks.kernels.first_tiles import (
    Prepared,
    Shape,
    columns,
    cut,
    dot_precision,
    load_filters,
    load_patches,
)
from bacon.networks.kernels.triton_tiles import channels_last

_SQUARES, _WARPS = 64, 4  # of a tile
_NUMBERS = 512  # of the images, that a program adds up


@triton.jit
def _shares(
    images,
    arranged,
    given,
    weight,
    bias,
    mean,
    rstd,
    sum_u,
    sum_u_y,
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
    image = (tl.program_id(0) // tiles).to(tl.int64)
    first = (tl.program_id(0) % tiles) * SQUARES
    patch = load_patches(images + image * ((HEIGHT + 2) * (WIDTH + 2) * LANES), first, HEIGHT, WIDTH, LANES, SQUARES)
    given += image * (CHANNELS * total)
    sums = tl.zeros((SQUARES, products), tl.float32)
    for start in tl.range(0, CHANNELS, TOGETHER, num_stages=1):
        _, channel, exists = columns(start, CHANNELS, TOGETHER)
        row = image * CHANNELS + channel
        w, shift = tl.load(weight + channel, mask=exists, other=0.0), tl.load(bias + channel, mask=exists, other=0.0)
        m, r = tl.load(mean + row, mask=exists, other=0.0), tl.load(rstd + row, mask=exists, other=0.0)
        offset = tl.load(sum_u + row, mask=exists, other=0.0) / (total * 4)
        slope = tl.load(sum_u_y + row, mask=exists, other=0.0) / (total * 4)
        g = load_given(given, start, first, CHANNELS, SQUARES, total, LAST, TOGETHER)
        filters = load_filters(arranged, start, CHANNELS, LANES, TOGETHER)
        y, u = normalised_tile(patch, filters, g, m, r, w, shift, PRECISION)
        by_z = of_map(y, u, w * r, offset, slope).to(patch.dtype)
        sums = tl.dot(by_z, tl.trans(filters), sums, input_precision=PRECISION)
    square = first + tl.arange(0, SQUARES)
    at = shares + image * (total * products) + (square * products)[:, None] + tl.arange(0, products)[None, :]
    tl.store(at, sums, mask=(square < total)[:, None])


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
    NUMBERS: tl.constexpr,  # noqa: N803
):
    size: tl.constexpr = INPUTS * ROWS * COLUMNS
    down: tl.constexpr = ROWS // 2 + PADDING - 1
    across: tl.constexpr = COLUMNS // 2 + PADDING - 1
    blocks: tl.constexpr = (size + NUMBERS - 1) // NUMBERS
    image = (tl.program_id(0) // blocks).to(tl.int64)
    at = (tl.program_id(0) % blocks) * NUMBERS + tl.arange(0, NUMBERS)
    lane, row, column = at // (ROWS * COLUMNS), at // COLUMNS % ROWS, at % COLUMNS
    shares += image * (down * across * 16 * LANES)
    total = tl.zeros((NUMBERS,), tl.float32)
    for above in tl.static_range(2):
        for before in tl.static_range(2):
            i, j = (row + PADDING) // 2 - above, (column + PADDING) // 2 - before
            pixel = (row + PADDING - 2 * i) * 4 + column + PADDING - 2 * j
            inside = (at < size) & (i >= 0) & (i < down) & (j >= 0) & (j < across)
            total += tl.load(shares + ((i * across + j) * 16 + pixel) * LANES + lane, mask=inside, other=0.0)
    place = dx + image * stride_n + lane * stride_c + row * stride_h + column * stride_w
    tl.store(place, total.to(dx.dtype.element_ty), mask=at < size)


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
    cuts = cut(shape, _SQUARES, _WARPS) | {"PRECISION": dot_precision(precision)}
    shares = torch.empty(count, total, shape.products, dtype=torch.float32, device=x.device)
    constants = shape.constants() | cuts | {"LAST": channels_last(given)}
    grid = (count * triton.cdiv(total, cuts["SQUARES"]),)
    _shares[grid](*prepared, given, *norm, sums[0], sums[1], shares, **constants)
    dx = torch.empty_like(x)
    sizes = {"INPUTS": shape.inputs, "ROWS": shape.rows, "COLUMNS": shape.columns, "PADDING": shape.padding}
    grid = (count * triton.cdiv(shape.inputs * shape.rows * shape.columns, _NUMBERS),)
    _add_shares[grid](shares, dx, *dx.stride(), **sizes, LANES=shape.lanes, NUMBERS=_NUMBERS, num_warps=4)
    return dx
