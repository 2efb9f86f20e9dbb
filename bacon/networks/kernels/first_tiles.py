# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""What the Triton kernels of the first block share: sizes, how images and filters lie, and tiles of their products.

A tile of maps is (squares, 4 channels): a row for each 2x2 square, and for each of its four pixels a block of columns, one a
channel. It is the product of (squares, numbers under a square) and (numbers, columns), the filters in four arrangements.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor

_PIXELS = 16  # under a square


class Shape(NamedTuple):
    """Sizes of the images, the filters and the maps; constants to the compiler."""

    inputs: int
    rows: int
    columns: int
    padding: int
    channels: int

    @property
    def lanes(self) -> int:
        """Numbers of a pixel of the copied images: 1, or 4 of which those without a channel are 0 and the last is 1."""
        return 1 if self.inputs == 1 else 4

    @property
    def spare(self) -> bool:
        """Whether a pixel of the copied images has a number that no channel takes; its last is then 1."""
        return self.inputs < self.lanes

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
    """(N, rows + 2 padding, columns + 2 padding, lanes); of each pixel the last number is 1 where :attr:`Shape.spare`."""
    filters: Tensor
    """(4, 16 lanes, channels): for each pixel of a square, the weight of each number under the square."""


def shape_of(x: Tensor, filters: Tensor, padding: int) -> Shape:
    """Sizes for images (N, inputs, rows, columns) and filters (channels, inputs, 3, 3)."""
    _, inputs, rows, columns = x.shape
    return Shape(inputs, rows, columns, padding, len(filters))


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
def to_tf32(x):
    """float32 rounded to the ten binary places of TF32, halves away from zero; NaN stays NaN."""
    rounded = ((x.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return tl.where(x != x, x, rounded)


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


def cut(shape: Shape, squares: int, warps: int, channels: int = 16) -> dict[str, Any]:
    """Tiles of up to so many squares of so many channels."""
    return {
        "TOGETHER": channels,
        "SQUARES": min(squares, max(16, triton.next_power_of_2(shape.height * shape.width // 4))),
        "num_warps": warps,
    }


def images_together(count: int, blocks: int, held: int) -> int:
    """How many of ``count`` images a program takes in turn, where it takes one of ``blocks`` blocks of their channels.

    All programs run at once on a GPU that works on ``held`` of them, as many as do; each begins and ends once.
    """
    images: int = triton.cdiv(count, max(1, held // blocks))
    return max(1, images)


def dot_precision(precision: str) -> str:
    """As :func:`triton.language.dot` names it: float32 as three products of TF32, whose error is that of float32's rounding."""
    return {"bf16": "tf32", "tf32": "tf32", "fp32": "tf32x3"}[precision]
