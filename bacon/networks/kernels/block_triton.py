# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""The ConvNet block on a GPU: instance norm, ReLU and 2x2 average pooling as one Triton kernel each way.

A program takes a few maps of one image. Maps that it can hold stay in registers; larger ones are read twice, once for their
sums, and again, from the cache of its multiprocessor, for what it writes. Every map is summed by one program, and sums over
images are taken in a fixed order by a second small kernel, so results repeat bit for bit. Arithmetic is float32 for float32 and
bfloat16 maps, float64 for float64.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.networks.kernels.block_gpu`` imports it where there is a GPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.triton_tiles import (
    channels_last,
    launch,
    load_squares,
    place,
    pooled_places,
    store_squares,
    sum_rows,
)

# Numbers of the maps that a program holds at a time.
_FORWARD = 16384
_BACKWARD, _BACKWARD_LAST = 8192, 16384  # contiguous, channels-last


@triton.jit
def _moments(a, b, c, d, inside, here):
    """Mean of the ``here`` numbers of each map in four tiles, and their squared distances from it, (TOGETHER,)."""
    mean = tl.sum(a + b + c + d, axis=1) / here
    a = tl.where(inside, a - mean[:, None], 0.0)
    b = tl.where(inside, b - mean[:, None], 0.0)
    c = tl.where(inside, c - mean[:, None], 0.0)
    d = tl.where(inside, d - mean[:, None], 0.0)
    return mean, tl.sum(a * a + b * b + c * c + d * d, axis=1)


@triton.jit
def _write(
    a,
    b,
    c,
    d,
    centre,
    scale,
    shift,
    pooled,
    channel,
    first,
    CHANNELS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
):
    """Norm, ReLU and pooling of four tiles; max(0, z), but NaN stays NaN."""
    a = (a - centre[:, None]) * scale[:, None] + shift
    b = (b - centre[:, None]) * scale[:, None] + shift
    c = (c - centre[:, None]) * scale[:, None] + shift
    d = (d - centre[:, None]) * scale[:, None] + shift
    sums = tl.where(a < 0, 0.0, a) + tl.where(b < 0, 0.0, b) + tl.where(c < 0, 0.0, c) + tl.where(d < 0, 0.0, d)
    at, inside = pooled_places(channel, first, CHANNELS, SQUARES, TOTAL, LAST)
    tl.store(pooled + at, (sums * 0.25).to(pooled.dtype.element_ty), mask=inside)


@triton.jit
def _statistics(
    maps,
    channel,
    eps,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    """Mean and 1/sd of each map, (TOGETHER,): of each turn about its own mean, joined as Chan et al. (1983) do."""
    total: tl.constexpr = HEIGHT * WIDTH // 4
    centre = tl.zeros((TOGETHER,), REAL)
    spread = tl.zeros((TOGETHER,), REAL)
    for first in range(0, total, SQUARES):
        inside = (first + tl.arange(0, SQUARES) < total)[None, :]
        a, b, c, d = load_squares(maps, channel, first, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST, REAL)
        here = (tl.minimum(SQUARES, total - first) * 4).to(REAL)
        mean, squared = _moments(a, b, c, d, inside, here)
        share = here / (here + first * 4)
        apart = mean - centre
        spread += squared + apart * apart * share * (first * 4)
        centre += apart * share
    return centre, 1.0 / tl.sqrt(spread / (total * 4) + eps)


@triton.jit
def _forward(
    x,
    weight,
    bias,
    pooled,
    mean,
    rstd,
    eps,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    total: tl.constexpr = HEIGHT * WIDTH // 4
    image, channel, exists, row = place(CHANNELS, TOGETHER)
    x += image * (CHANNELS * HEIGHT * WIDTH)
    pooled += image * (CHANNELS * total)
    shift = tl.load(bias + channel, mask=exists, other=0.0).to(REAL)[:, None]
    w = tl.load(weight + channel, mask=exists, other=0.0).to(REAL)
    if total <= SQUARES:  # the maps stay in registers
        a, b, c, d = load_squares(x, channel, 0, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST, REAL)
        centre, spread = _moments(a, b, c, d, (tl.arange(0, SQUARES) < total)[None, :], total * 4.0)
        r = 1.0 / tl.sqrt(spread / (total * 4) + eps)
        _write(a, b, c, d, centre, w * r, shift, pooled, channel, 0, CHANNELS, SQUARES, total, LAST)
    else:
        centre, r = _statistics(x, channel, eps, CHANNELS, HEIGHT, WIDTH, LAST, TOGETHER, SQUARES, REAL)
        for first in range(0, total, SQUARES):
            a, b, c, d = load_squares(x, channel, first, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST, REAL)
            _write(a, b, c, d, centre, w * r, shift, pooled, channel, first, CHANNELS, SQUARES, total, LAST)
    tl.store(mean + row, centre, mask=exists)
    tl.store(rstd + row, r, mask=exists)


@triton.jit
def normalised(
    x,
    given,
    channel,
    first,
    centre,
    r,
    w,
    shift,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    GIVEN_LAST: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    """Y = (x - mean) / sd, and u, the pooled gradient spread over its squares where the ReLU passes: four tiles of each."""
    a, b, c, d = load_squares(x, channel, first, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST, REAL)
    at, inside = pooled_places(channel, first, CHANNELS, SQUARES, HEIGHT * WIDTH // 4, GIVEN_LAST)
    g = tl.load(given + at, mask=inside, other=0.0).to(REAL) * 0.25
    a, b, c, d = (a - centre) * r, (b - centre) * r, (c - centre) * r, (d - centre) * r
    ga = tl.where(a * w + shift <= 0, 0.0, g)
    gb = tl.where(b * w + shift <= 0, 0.0, g)
    gc = tl.where(c * w + shift <= 0, 0.0, g)
    gd = tl.where(d * w + shift <= 0, 0.0, g)
    return a, b, c, d, ga, gb, gc, gd


@triton.jit
def _backward(
    x,
    given,
    weight,
    bias,
    mean,
    rstd,
    dx,
    dweight,
    dbias,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    GIVEN_LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    total: tl.constexpr = HEIGHT * WIDTH // 4
    image, channel, exists, row = place(CHANNELS, TOGETHER)
    x += image * (CHANNELS * HEIGHT * WIDTH)
    dx += image * (CHANNELS * HEIGHT * WIDTH)
    given += image * (CHANNELS * total)
    m = tl.load(mean + row, mask=exists, other=0.0)[:, None]
    r = tl.load(rstd + row, mask=exists, other=0.0)[:, None]
    w = tl.load(weight + channel, mask=exists, other=0.0).to(REAL)[:, None]
    shift = tl.load(bias + channel, mask=exists, other=0.0).to(REAL)[:, None]
    if total <= SQUARES:  # the maps stay in registers
        a, b, c, d, ga, gb, gc, gd = normalised(
            x, given, channel, 0, m, r, w, shift, CHANNELS, HEIGHT, WIDTH, LAST, GIVEN_LAST, SQUARES, REAL
        )
        u = tl.sum(ga + gb + gc + gd, axis=1)
        u_y = tl.sum(ga * a + gb * b + gc * c + gd * d, axis=1)
        offset, slope = (u / (total * 4))[:, None], (u_y / (total * 4))[:, None]
        a, b = w * r * (ga - offset - a * slope), w * r * (gb - offset - b * slope)
        c, d = w * r * (gc - offset - c * slope), w * r * (gd - offset - d * slope)
        store_squares(dx, channel, 0, a, b, c, d, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST)
    else:
        u = tl.zeros((TOGETHER,), REAL)
        u_y = tl.zeros((TOGETHER,), REAL)
        for first in range(0, total, SQUARES):
            a, b, c, d, ga, gb, gc, gd = normalised(
                x, given, channel, first, m, r, w, shift, CHANNELS, HEIGHT, WIDTH, LAST, GIVEN_LAST, SQUARES, REAL
            )
            u += tl.sum(ga + gb + gc + gd, axis=1)
            u_y += tl.sum(ga * a + gb * b + gc * c + gd * d, axis=1)
        offset, slope = (u / (total * 4))[:, None], (u_y / (total * 4))[:, None]
        for first in range(0, total, SQUARES):
            a, b, c, d, ga, gb, gc, gd = normalised(
                x, given, channel, first, m, r, w, shift, CHANNELS, HEIGHT, WIDTH, LAST, GIVEN_LAST, SQUARES, REAL
            )
            a, b = w * r * (ga - offset - a * slope), w * r * (gb - offset - b * slope)
            c, d = w * r * (gc - offset - c * slope), w * r * (gd - offset - d * slope)
            store_squares(dx, channel, first, a, b, c, d, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST)
    tl.store(dbias + row, u, mask=exists)
    tl.store(dweight + row, u_y, mask=exists)


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps in the dtype and the layout of ``x``, and mean and 1/sd of each map.

    Args:
        x: (N, C, H, W) float32, float64 or bfloat16, H and W even; contiguous or channels-last.
        weight: (C,) float32 or float64.
        bias: as ``weight``.
        eps: added to the variance.

    Returns:
        (N, C, H / 2, W / 2), (N, C) and (N, C).
    """
    count, channels, height, width = x.shape
    layout = torch.channels_last if channels_last(x) else torch.contiguous_format
    pooled = torch.empty(
        (count, channels, height // 2, width // 2), dtype=x.dtype, device=x.device, memory_format=layout
    )
    mean, rstd = torch.empty(2, count, channels, dtype=weight.dtype, device=x.device)
    grid, constants = launch(x, _FORWARD)
    _forward[grid](x, weight, bias, pooled, mean, rstd, eps, **constants)
    return pooled, mean, rstd


def backward(
    x: Tensor, gradient: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of maps (as ``x``), weight and bias (C,), from that of the pooled maps, which may have any layout."""
    gradient = readable(gradient)
    dx = torch.empty_like(x)
    sums = torch.empty(2, *mean.shape, dtype=mean.dtype, device=mean.device)
    numbers = _BACKWARD_LAST if channels_last(x) else _BACKWARD
    grid, constants = launch(x, numbers, GIVEN_LAST=channels_last(gradient))
    _backward[grid](x, gradient, weight, bias, mean, rstd, dx, sums[0], sums[1], **constants)
    dweight, dbias = sum_rows(sums)
    return dx, dweight, dbias


def readable(maps: Tensor) -> Tensor:
    """Maps in one of the layouts that the kernels read: as they are when contiguous or channels-last."""
    return maps if maps.is_contiguous(memory_format=torch.channels_last) else maps.contiguous()
