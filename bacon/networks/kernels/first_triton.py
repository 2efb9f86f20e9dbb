# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A ConvNet's whole first block on a GPU, forward: 3x3 convolution, instance norm, ReLU and 2x2 average pooling.

The first convolution has one or three input channels: little arithmetic for the largest maps of the network, so its time is
that of moving them. Here they never reach memory. The images are copied once with their border, so that the 4x4 pixels under
each 2x2 square of the maps are four runs of neighbouring numbers: a tile (squares, pixels) that one load brings. The four
pixels of a square are the products of that tile with four arrangements of the weights, which stand side by side in one
matrix; norm, ReLU and pooling are arithmetic on the columns of the result. In bf16 and TF32 mean and variance are known before
(``first_moments_triton``), so that a map is made once. In float32, where these would have larger errors than the maps, they are
sums over the maps, and maps larger than a tile are made twice. The convolution's bias takes no part, since the norm takes each
map's mean away.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.first_moments_triton import MapMoments
from bacon.networks.kernels.first_tiles import (
    Prepared,
    Shape,
    at_corners,
    columns,
    cut,
    dot_precision,
    load_filters,
    load_patches,
    over_corners,
    pooled_at,
    shape_of,
    to_tf32,
)
from bacon.networks.kernels.triton_tiles import place

_NUMBERS_COPIED = 1024
_SQUARES = 64  # of a tile


@triton.jit(do_not_specialize=["copies"])
def _prepare(
    x,
    filters,
    images,
    arranged,
    copies,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    filter_c,
    filter_i,
    filter_h,
    filter_w,
    INPUTS: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    PADDING: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    NUMBERS: tl.constexpr,  # noqa: N803
    TF32: tl.constexpr,  # noqa: N803
):
    # TF32: numbers are rounded to it, so that all that reads them multiplies and adds the same ones.
    across: tl.constexpr = COLUMNS + 2 * PADDING
    size: tl.constexpr = (ROWS + 2 * PADDING) * across * LANES
    blocks: tl.constexpr = (size + NUMBERS - 1) // NUMBERS
    program = tl.program_id(0)
    if program < copies:
        image = (program // blocks).to(tl.int64)
        at = (program % blocks) * NUMBERS + tl.arange(0, NUMBERS)
        lane = at % LANES
        row, column = at // LANES // across - PADDING, at // LANES % across - PADDING
        inside = (lane < INPUTS) & (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS)
        place = x + image * stride_n + lane * stride_c + row * stride_h + column * stride_w
        number = tl.load(place, mask=inside, other=0.0).to(tl.float32)  # as that of the filters: a name has one type
        if INPUTS < LANES:  # products with it are sums of the other factor; the filters have 0 there
            number = tl.where(lane == LANES - 1, 1.0, number)
        if TF32:
            number = to_tf32(number)
        tl.store(images + image * size + at, number.to(images.dtype.element_ty), mask=at < size)
    else:
        at = (program - copies) * NUMBERS + tl.arange(0, NUMBERS)
        channel, product = at % CHANNELS, at // CHANNELS
        lane, pixel, corner = product % LANES, product // LANES % 16, product // (16 * LANES)
        row, column = pixel // 4 - corner // 2, pixel % 4 - corner % 2
        inside = (row >= 0) & (row < 3) & (column >= 0) & (column < 3) & (lane < INPUTS) & (corner < 4)
        number = tl.load(
            filters + channel * filter_c + lane * filter_i + row * filter_h + column * filter_w, mask=inside, other=0.0
        )
        if TF32:
            number = to_tf32(number)
        tl.store(arranged + at, number.to(arranged.dtype.element_ty), mask=corner < 4)


@triton.jit
def _moments(z, first, SQUARES: tl.constexpr, TOTAL: tl.constexpr, TOGETHER: tl.constexpr):  # noqa: N803
    """Numbers of each map in a tile, their mean, and their squared distances from it, (TOGETHER,)."""
    here = (tl.minimum(SQUARES, TOTAL - first) * 4).to(tl.float32)
    m = over_corners(tl.sum(z, axis=0), TOGETHER) / here
    z -= at_corners(m, TOGETHER)[None, :]
    if TOTAL % SQUARES != 0:
        z = tl.where((first + tl.arange(0, SQUARES) < TOTAL)[:, None], z, 0.0)
    return here, m, over_corners(tl.sum(z * z, axis=0), TOGETHER)


@triton.jit
def _finish(
    z,
    centre,
    scale,
    shift,
    pooled,
    start,
    first,
    CHANNELS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
):
    """Norm, ReLU and pooling of a tile; max(0, z), but NaN stays NaN."""
    z = (z - at_corners(centre, TOGETHER)[None, :]) * at_corners(scale, TOGETHER)[None, :]
    z += at_corners(shift, TOGETHER)[None, :]
    sums = tl.sum(tl.reshape(tl.where(z < 0, 0.0, z), (SQUARES, 4, TOGETHER)), axis=1)
    at, inside = pooled_at(start, first, CHANNELS, SQUARES, TOTAL, LAST, TOGETHER, TOGETHER)
    tl.store(pooled + at, (sums * 0.25).to(pooled.dtype.element_ty), mask=inside)


@triton.jit
def _forward(
    images,
    arranged,
    weight,
    bias,
    pooled,
    mean,
    rstd,
    eps,
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
    image, channel, exists, row = place(CHANNELS, TOGETHER)
    start = (tl.program_id(0) % ((CHANNELS + TOGETHER - 1) // TOGETHER)) * TOGETHER
    images += image * ((HEIGHT + 2) * (WIDTH + 2) * LANES)
    pooled += image * (CHANNELS * total)
    shift = tl.load(bias + channel, mask=exists, other=0.0)
    w = tl.load(weight + channel, mask=exists, other=0.0)
    filters = load_filters(arranged, start, CHANNELS, LANES, TOGETHER)
    z = tl.dot(load_patches(images, 0, HEIGHT, WIDTH, LANES, SQUARES), filters, input_precision=PRECISION)
    seen, centre, spread = _moments(z, 0, SQUARES, total, TOGETHER)
    # Of larger maps, the moments of each further tile, joined as Chan et al. (1983) do.
    for first in tl.range(SQUARES, total, SQUARES, num_stages=1):
        patch = load_patches(images, first, HEIGHT, WIDTH, LANES, SQUARES)
        here, m, squared = _moments(tl.dot(patch, filters, input_precision=PRECISION), first, SQUARES, total, TOGETHER)
        apart = m - centre
        share = here / (seen + here)
        spread += squared + apart * apart * share * seen
        centre += apart * share
        seen += here
    r = 1.0 / tl.sqrt(spread / (total * 4) + eps)
    tl.store(mean + row, centre, mask=exists)
    tl.store(rstd + row, r, mask=exists)
    if total <= SQUARES:
        _finish(z, centre, w * r, shift, pooled, start, 0, CHANNELS, SQUARES, total, LAST, TOGETHER)
    else:
        for first in tl.range(0, total, SQUARES, num_stages=1):
            patch = load_patches(images, first, HEIGHT, WIDTH, LANES, SQUARES)
            z = tl.dot(patch, filters, input_precision=PRECISION)
            _finish(z, centre, w * r, shift, pooled, start, first, CHANNELS, SQUARES, total, LAST, TOGETHER)


@triton.jit
def _forward_once(
    images,
    arranged,
    weight,
    bias,
    pooled,
    mean,
    rstd,
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
    blocks: tl.constexpr = (CHANNELS + TOGETHER - 1) // TOGETHER
    image = (tl.program_id(0) // blocks).to(tl.int64)
    start = (tl.program_id(0) % blocks) * TOGETHER
    _, channel, exists = columns(start, CHANNELS, TOGETHER)
    images += image * ((HEIGHT + 2) * (WIDTH + 2) * LANES)
    pooled += image * (CHANNELS * total)
    m = tl.load(mean + image * CHANNELS + channel, mask=exists, other=0.0)
    r = tl.load(rstd + image * CHANNELS + channel, mask=exists, other=0.0)
    # A quarter of the norm: a square's number is the mean of four, and a power of two changes no rounding.
    scale = tl.load(weight + channel, mask=exists, other=0.0) * r * 0.25
    offset = tl.load(bias + channel, mask=exists, other=0.0) * 0.25 - m * scale
    filters = load_filters(arranged, start, CHANNELS, LANES, TOGETHER)
    for first in tl.range(0, total, SQUARES, num_stages=1):
        patch = load_patches(images, first, HEIGHT, WIDTH, LANES, SQUARES)
        z = tl.dot(patch, filters, input_precision=PRECISION)
        z = tl.maximum(z * scale[None, :] + offset[None, :], 0.0, propagate_nan=tl.PropagateNan.ALL)
        sums = tl.sum(tl.reshape(z, (SQUARES, 4, TOGETHER)), axis=1)
        at, inside = pooled_at(start, first, CHANNELS, SQUARES, total, LAST, TOGETHER, TOGETHER)
        tl.store(pooled + at, sums.to(pooled.dtype.element_ty), mask=inside)


def prepare(x: Tensor, filters: Tensor, padding: int, precision: str) -> Prepared:
    """Images (N, inputs, rows, columns) and filters (channels, inputs, 3, 3), in any layout, rounded and copied."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    shape, count = shape_of(x, filters, padding), len(x)
    across = (shape.rows + 2 * padding, shape.columns + 2 * padding, shape.lanes)
    images = torch.empty(count, *across, dtype=dtype, device=x.device)
    arranged = torch.empty(4, shape.products, shape.channels, dtype=dtype, device=x.device)
    copies = count * triton.cdiv(images[0].numel(), _NUMBERS_COPIED) if count else 0
    grid = (copies + triton.cdiv(arranged.numel(), _NUMBERS_COPIED),)
    sizes = shape._asdict()
    constants = {name.upper(): size for name, size in sizes.items()} | {"LANES": shape.lanes}
    strides = (*x.stride(), *filters.stride())
    constants |= {"NUMBERS": _NUMBERS_COPIED, "TF32": precision == "tf32", "num_warps": 4}
    _prepare[grid](x, filters, images, arranged, copies, *strides, **constants)
    return Prepared(images, arranged)


def tiles(shape: Shape) -> dict[str, Any]:
    """Compile-time sizes of the tiles of the kernel that finds mean and variance itself, in float32."""
    return cut(shape, _SQUARES, 4, 16) | {"PRECISION": dot_precision("fp32")}


def tiles_once(shape: Shape) -> dict[str, Any]:
    """Compile-time sizes of the tiles of the kernel that is given mean and variance, in bf16 or TF32."""
    return cut(shape, _SQUARES, 4, 32) | {"PRECISION": dot_precision("tf32")}


def forward(
    prepared: Prepared, shape: Shape, weight: Tensor, bias: Tensor, eps: float, *, last: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps (N, channels, height / 2, width / 2), and mean and 1/sd (N, channels) of each map, all in float32.

    Args:
        prepared: images and filters, float32.
        shape: the sizes.
        weight: (channels,) float32, of the norm.
        bias: as ``weight``.
        eps: added to the variance.
        last: whether the pooled maps lie channels-last.
    """
    pooled, constants, grid = _launch(prepared, shape, tiles(shape), last=last)
    mean, rstd = torch.empty(2, len(pooled), shape.channels, dtype=torch.float32, device=weight.device)
    _forward[grid](*prepared, weight, bias, pooled, mean, rstd, eps, **constants)
    return pooled, mean, rstd


def forward_once(
    prepared: Prepared, shape: Shape, weight: Tensor, bias: Tensor, moments: MapMoments, *, last: bool
) -> Tensor:
    """Pooled maps (N, channels, height / 2, width / 2), each map made once.

    Args:
        prepared: images and filters, in bfloat16 or rounded to TF32; the pooled maps are of their dtype.
        shape: the sizes.
        weight: (channels,) float32, of the norm.
        bias: as ``weight``.
        moments: of the maps.
        last: whether the pooled maps lie channels-last.
    """
    pooled, constants, grid = _launch(prepared, shape, tiles_once(shape), last=last)
    _forward_once[grid](*prepared, weight, bias, pooled, moments.mean, moments.rstd, **constants)
    return pooled


def _launch(
    prepared: Prepared, shape: Shape, cuts: dict[str, Any], *, last: bool
) -> tuple[Tensor, dict[str, Any], tuple[int]]:
    """Room for the pooled maps; constants, and how many programs take a tile of channels of an image each."""
    count, layout = len(prepared.images), torch.channels_last if last else torch.contiguous_format
    sizes = (count, shape.channels, shape.height // 2, shape.width // 2)
    pooled = torch.empty(sizes, dtype=prepared.images.dtype, device=prepared.images.device, memory_format=layout)
    constants = shape.constants() | cuts | {"LAST": last}
    return pooled, constants, (count * triton.cdiv(shape.channels, constants["TOGETHER"]),)
