# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A ConvNet's whole first block on a GPU, forward: 3x3 convolution, instance norm, ReLU and 2x2 average pooling.

The first convolution has one or three input channels: little arithmetic for the largest maps of the network, so its time is
that of moving them. Here they never reach memory. The images are copied once with their border, so that the 4x4 pixels under
each 2x2 square of the maps are four runs of neighbouring numbers: a tile (squares, pixels) that one load brings. The four
pixels of a square are the products of that tile with four arrangements of the weights, which stand side by side in one
matrix; mean, variance, ReLU and pooling are arithmetic on the columns of the result. Maps larger than a tile are made twice,
once for their sums. The convolution's bias takes no part, since the norm takes each map's mean away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.triton_tiles import place

_PIXELS = 16  # under a square
_NUMBERS_COPIED = 1024


class Shape(NamedTuple):
    """Sizes of the images, the filters and the maps; constants to the compiler."""

    inputs: int
    rows: int
    columns: int
    padding: int
    channels: int

    @property
    def lanes(self) -> int:
        """Numbers of a pixel of the copied images: 1, or 4 with zeros."""
        return 1 if self.inputs == 1 else 4

    @property
    def height(self) -> int:
        """Of the maps."""
        return self.rows + 2 * self.padding - 2

    @property
    def width(self) -> int:
        """Of the maps."""
        return self.columns + 2 * self.padding - 2

    @property
    def products(self) -> int:
        """Numbers under a square."""
        return _PIXELS * self.lanes

    def constants(self) -> dict[str, int]:
        """What every kernel of the first block is compiled for."""
        return {"CHANNELS": self.channels, "HEIGHT": self.height, "WIDTH": self.width, "LANES": self.lanes}


class Prepared(NamedTuple):
    """Images and filters as the kernels read them, in the type that is multiplied."""

    images: Tensor
    """(N, rows + 2 padding, columns + 2 padding, lanes)."""
    filters: Tensor
    """(4, 16 lanes, channels): for each pixel of a square, the weight of each number under the square."""


def shape_of(x: Tensor, filters: Tensor, padding: int) -> Shape:
    """Sizes for images (N, inputs, rows, columns) and filters (channels, inputs, 3, 3)."""
    return Shape(*x.shape[1:], padding, len(filters))


@triton.jit
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
):
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
        number = tl.load(
            x + image * stride_n + lane * stride_c + row * stride_h + column * stride_w, mask=inside, other=0.0
        )
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
        tl.store(arranged + at, number.to(arranged.dtype.element_ty), mask=corner < 4)


@triton.jit
def load_patches(
    images,
    first,
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
):
    """(SQUARES, 16 LANES) numbers under the squares from ``first`` on, of one copied image; zero beyond the last square."""
    line: tl.constexpr = (WIDTH + 2) * LANES
    square = first + tl.arange(0, SQUARES)
    number = tl.arange(0, 16 * LANES)
    corner = square // (WIDTH // 2) * 2 * line + square % (WIDTH // 2) * 2 * LANES
    at = images + corner[:, None] + (number // (4 * LANES) * line + number % (4 * LANES))[None, :]
    if HEIGHT * WIDTH // 4 % SQUARES == 0:
        return tl.load(at)
    else:  # noqa: RET505
        return tl.load(at, mask=(square < HEIGHT * WIDTH // 4)[:, None], other=0.0)


@triton.jit
def columns(start, CHANNELS: tl.constexpr, TOGETHER: tl.constexpr):  # noqa: N803
    """Of a tile (squares, 4 TOGETHER): the pixel of the square, the channel, and whether it exists, (4 TOGETHER,)."""
    column = tl.arange(0, 4 * TOGETHER)
    channel = start + column % TOGETHER
    return column // TOGETHER, channel, channel < CHANNELS


@triton.jit
def over_corners(numbers, TOGETHER: tl.constexpr):  # noqa: N803
    """Sums of (4 TOGETHER,) over the four pixels of a square: (TOGETHER,)."""
    return tl.sum(tl.reshape(numbers, (4, TOGETHER)), axis=0)


@triton.jit
def at_corners(numbers, TOGETHER: tl.constexpr):  # noqa: N803
    """(TOGETHER,) repeated for the four pixels of a square."""
    return tl.reshape(tl.broadcast_to(numbers[None, :], (4, TOGETHER)), (4 * TOGETHER,))


@triton.jit
def load_filters(
    arranged,
    start,
    CHANNELS: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
):
    """(16 LANES, 4 TOGETHER): the four arrangements of the weights of the channels from ``start`` on, side by side."""
    corner, channel, exists = columns(start, CHANNELS, TOGETHER)
    at = corner * (16 * LANES * CHANNELS) + channel
    number = tl.arange(0, 16 * LANES) * CHANNELS
    return tl.load(arranged + number[:, None] + at[None, :], mask=exists[None, :], other=0.0)


@triton.jit
def pooled_at(
    start,
    first,
    CHANNELS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
):
    """Where squares' pooled numbers are in one image's pooled maps, and which exist; (SQUARES, COLUMNS), channels repeated."""
    square = first + tl.arange(0, SQUARES)
    channel = start + tl.arange(0, COLUMNS) % TOGETHER
    inside = (square < TOTAL)[:, None] & (channel < CHANNELS)[None, :]
    at = (square * CHANNELS)[:, None] + channel[None, :] if LAST else square[:, None] + (channel * TOTAL)[None, :]
    return at, inside


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


def prepare(x: Tensor, filters: Tensor, padding: int, dtype: torch.dtype) -> Prepared:
    """Images (N, inputs, rows, columns) and filters (channels, inputs, 3, 3), in any layout, copied by one kernel."""
    shape, count = shape_of(x, filters, padding), len(x)
    across = (shape.rows + 2 * padding, shape.columns + 2 * padding, shape.lanes)
    images = torch.empty(count, *across, dtype=dtype, device=x.device)
    arranged = torch.empty(4, shape.products, shape.channels, dtype=dtype, device=x.device)
    copies = count * triton.cdiv(images[0].numel(), _NUMBERS_COPIED) if count else 0
    grid = (copies + triton.cdiv(arranged.numel(), _NUMBERS_COPIED),)
    sizes = shape._asdict()
    constants = {name.upper(): size for name, size in sizes.items()} | {"LANES": shape.lanes}
    strides = (*x.stride(), *filters.stride())
    _prepare[grid](x, filters, images, arranged, copies, *strides, **constants, NUMBERS=_NUMBERS_COPIED, num_warps=4)
    return Prepared(images, arranged)


def tiles(shape: Shape, precision: str) -> dict[str, Any]:
    """Compile-time sizes of the forward kernel's tiles, for products in bf16, tf32 or fp32."""
    squares, warps = {"bf16": (256, 4), "tf32": (256, 8), "fp32": (64, 4)}[precision]
    return cut(shape, squares, warps) | {"PRECISION": dot_precision(precision)}


def dot_precision(precision: str) -> str:
    """As :func:`triton.language.dot` names it: float32 as three products of TF32, whose error is that of float32's rounding."""
    return {"bf16": "tf32", "tf32": "tf32", "fp32": "tf32x3"}[precision]


def cut(shape: Shape, squares: int, warps: int) -> dict[str, Any]:
    """Tiles of up to so many squares of 16 channels."""
    return {
        "TOGETHER": 16,
        "SQUARES": min(squares, max(16, triton.next_power_of_2(shape.height * shape.width // 4))),
        "num_warps": warps,
    }


def forward(
    prepared: Prepared, shape: Shape, weight: Tensor, bias: Tensor, eps: float, *, precision: str, last: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps (N, channels, height / 2, width / 2), and mean and 1/sd (N, channels) float32 of each map.

    Args:
        prepared: images and filters; the pooled maps are of their dtype, float32 or bfloat16.
        shape: the sizes.
        weight: (channels,) float32, of the norm.
        bias: as ``weight``.
        eps: added to the variance.
        precision: of the products: bf16, tf32 or fp32.
        last: whether the pooled maps lie channels-last.
    """
    count, device = len(prepared.images), weight.device
    layout = torch.channels_last if last else torch.contiguous_format
    sizes = (count, shape.channels, shape.height // 2, shape.width // 2)
    pooled = torch.empty(sizes, dtype=prepared.images.dtype, device=device, memory_format=layout)
    mean, rstd = torch.empty(2, count, shape.channels, dtype=torch.float32, device=device)
    constants = shape.constants() | tiles(shape, precision) | {"LAST": last}
    grid = (count * triton.cdiv(shape.channels, constants["TOGETHER"]),)
    _forward[grid](*prepared, weight, bias, pooled, mean, rstd, eps, **constants)
    return pooled, mean, rstd
