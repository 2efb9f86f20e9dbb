# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""What the Triton kernels of the ConvNet block share: tiles of maps, how large they are, and sums over images.

A tile is (channels, squares) of one image: the four pixels of each 2x2 square are four tiles of that shape, so that pooling
is arithmetic within a thread. Channels-last maps are read along the channels, contiguous ones along the rows, 16 bytes a
thread in both cases where the sizes allow. Shapes are constants to the compiler.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

# Sizes of tiles, measured (docs/speed.md).
_RUN_BYTES = 64  # neighbouring channels of a channels-last map that a tile has at least
_LEAST_NUMBERS = 4096
_NUMBERS_PER_THREAD = 32
NUMBERS_PER_THREAD_LAST = 64  # of channels-last maps whose arithmetic is float32
_MOST_WARPS = 8
_ROWS, _COLUMNS = 256, 8  # of a table that is summed over its rows


class Tile(NamedTuple):
    """How the maps of an image are cut."""

    channels: int
    """Channels that a program takes together."""
    squares: int
    """2x2 squares of each map that it holds at a time; several turns where a map has more."""
    warps: int
    """Groups of 32 threads of the program."""


def channels_last(x: Tensor) -> bool:
    """Whether maps (N, C, H, W) lie channels-last, and not contiguously as well."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def tile(x: Tensor, most_numbers: int, per_thread_last: int = NUMBERS_PER_THREAD_LAST) -> Tile:
    """The tile for maps (N, C, H, W).

    Args:
        x: the maps, contiguous or channels-last.
        most_numbers: of maps that a program may hold at a time.
        per_thread_last: numbers that a thread holds of channels-last maps whose arithmetic is float32.
    """
    _, channels, height, width = x.shape
    squares = triton.next_power_of_2(height * width // 4)
    most_channels = triton.next_power_of_2(channels)
    together = min(most_channels, max(1, _RUN_BYTES // x.element_size())) if channels_last(x) else 1
    while together < most_channels and 4 * together * squares < _LEAST_NUMBERS:
        together *= 2
    squares = max(1, min(squares, most_numbers // (4 * together)))
    roomy = channels_last(x) and x.dtype != torch.float64
    per_thread = per_thread_last if roomy else _NUMBERS_PER_THREAD
    warps = 4 * together * squares // (32 * per_thread)
    return Tile(together, squares, min(_MOST_WARPS, max(1, warps)))


def launch(
    x: Tensor, most_numbers: int, per_thread_last: int = NUMBERS_PER_THREAD_LAST, **layouts: bool
) -> tuple[tuple[int], dict[str, Any]]:
    """Grid, and compile-time arguments, of a kernel whose programs take one tile of one image each; :func:`tile` says which."""
    count, channels, height, width = x.shape
    cut = tile(x, most_numbers, per_thread_last)
    blocks = triton.cdiv(channels, cut.channels)
    real = tl.float64 if x.dtype == torch.float64 else tl.float32
    sizes = {"CHANNELS": channels, "HEIGHT": height, "WIDTH": width, "REAL": real, "LAST": channels_last(x)}
    tiles = {"TOGETHER": cut.channels, "SQUARES": cut.squares, "num_warps": cut.warps}
    return (count * blocks,), sizes | tiles | layouts


@triton.jit
def place(CHANNELS: tl.constexpr, TOGETHER: tl.constexpr):  # noqa: N803
    """Image and channels (TOGETHER,) of this program, which channels exist, and where their statistics are."""
    blocks: tl.constexpr = (CHANNELS + TOGETHER - 1) // TOGETHER
    image = (tl.program_id(0) // blocks).to(tl.int64)
    channel = (tl.program_id(0) % blocks) * TOGETHER + tl.arange(0, TOGETHER)
    return image, channel, channel < CHANNELS, image * CHANNELS + channel


@triton.jit
def load_squares(
    maps,
    channel,
    first,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    """The four pixels of the squares from ``first`` on, (channels, SQUARES) each, of one image's maps; zero outside."""
    if LAST:
        square = first + tl.arange(0, SQUARES)
        inside = (channel < CHANNELS)[:, None] & (square < HEIGHT * WIDTH // 4)[None, :]
        corner = (square // (WIDTH // 2) * 2 * WIDTH + square % (WIDTH // 2) * 2) * CHANNELS
        at = maps + channel[:, None] + corner[None, :]
        a = tl.load(at, mask=inside, other=0.0).to(REAL)
        b = tl.load(at + CHANNELS, mask=inside, other=0.0).to(REAL)
        c = tl.load(at + WIDTH * CHANNELS, mask=inside, other=0.0).to(REAL)
        d = tl.load(at + (WIDTH + 1) * CHANNELS, mask=inside, other=0.0).to(REAL)
    else:  # whole runs of rows, taken apart into even and odd columns
        pixel = first * 2 + tl.arange(0, SQUARES * 2)
        inside = (channel < CHANNELS)[:, None] & (pixel < HEIGHT * WIDTH // 2)[None, :]
        at = maps + (channel * (HEIGHT * WIDTH))[:, None] + (pixel // WIDTH * 2 * WIDTH + pixel % WIDTH)[None, :]
        upper = tl.load(at, mask=inside, other=0.0).to(REAL)
        lower = tl.load(at + WIDTH, mask=inside, other=0.0).to(REAL)
        a, b = tl.split(tl.reshape(upper, (upper.shape[0], SQUARES, 2)))
        c, d = tl.split(tl.reshape(lower, (lower.shape[0], SQUARES, 2)))
    return a, b, c, d


@triton.jit
def store_squares(
    maps,
    channel,
    first,
    a,
    b,
    c,
    d,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
):
    """Write what :func:`load_squares` would read."""
    element = maps.dtype.element_ty
    if LAST:
        square = first + tl.arange(0, SQUARES)
        inside = (channel < CHANNELS)[:, None] & (square < HEIGHT * WIDTH // 4)[None, :]
        corner = (square // (WIDTH // 2) * 2 * WIDTH + square % (WIDTH // 2) * 2) * CHANNELS
        at = maps + channel[:, None] + corner[None, :]
        tl.store(at, a.to(element), mask=inside)
        tl.store(at + CHANNELS, b.to(element), mask=inside)
        tl.store(at + WIDTH * CHANNELS, c.to(element), mask=inside)
        tl.store(at + (WIDTH + 1) * CHANNELS, d.to(element), mask=inside)
    else:
        pixel = first * 2 + tl.arange(0, SQUARES * 2)
        inside = (channel < CHANNELS)[:, None] & (pixel < HEIGHT * WIDTH // 2)[None, :]
        at = maps + (channel * (HEIGHT * WIDTH))[:, None] + (pixel // WIDTH * 2 * WIDTH + pixel % WIDTH)[None, :]
        tl.store(at, tl.reshape(tl.join(a.to(element), b.to(element)), (a.shape[0], SQUARES * 2)), mask=inside)
        tl.store(at + WIDTH, tl.reshape(tl.join(c.to(element), d.to(element)), (a.shape[0], SQUARES * 2)), mask=inside)


@triton.jit
def pooled_places(
    channel,
    first,
    CHANNELS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
):
    """Where the squares' pooled numbers are in one image's pooled maps, and which of them exist; (channels, SQUARES)."""
    square = first + tl.arange(0, SQUARES)
    inside = (channel < CHANNELS)[:, None] & (square < TOTAL)[None, :]
    at = channel[:, None] + (square * CHANNELS)[None, :] if LAST else (channel * TOTAL)[:, None] + square[None, :]
    return at, inside


@triton.jit
def _sum_rows(
    table,
    sums,
    rows,
    columns,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row = tl.arange(0, ROWS)
    table += tl.program_id(1).to(tl.int64) * rows * columns
    total = tl.zeros((ROWS, COLUMNS), REAL)
    for first in range(0, rows, ROWS):
        inside = (first + row < rows)[:, None] & (column < columns)[None, :]
        total += tl.load(table + (first + row)[:, None] * columns + column[None, :], mask=inside, other=0.0)
    tl.store(sums + tl.program_id(1) * columns + column, tl.sum(total, axis=0), mask=column < columns)


def sum_rows(tables: Tensor) -> Tensor:
    """(tables, columns) sums over the rows of (tables, rows, columns) float32 or float64, in an order fixed by the shape."""
    count, rows, columns = tables.shape
    sums = torch.empty(count, columns, dtype=tables.dtype, device=tables.device)
    real = tl.float64 if tables.dtype == torch.float64 else tl.float32
    grid = (triton.cdiv(columns, _COLUMNS), count)
    _sum_rows[grid](tables, sums, rows, columns, ROWS=_ROWS, COLUMNS=_COLUMNS, REAL=real, num_warps=4)
    return sums
