# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""Second derivatives of the ConvNet block on a GPU: gradients of a scalar of the block's first derivatives, as one kernel.

The formula and its names are those of ``second_gradients`` in ``block_plain``: all means that it needs are linear in five sums
over a map, so that two passes over it do, the second from the cache. Layouts, tiles and arithmetic are those of
``block_triton``.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.block_plain import Cotangents, Saved
from bacon.networks.kernels.block_triton import normalised, readable
from bacon.networks.kernels.triton_tiles import (
    channels_last,
    launch,
    load_squares,
    place,
    pooled_places,
    store_squares,
    sum_rows,
)

_NUMBERS, _PER_THREAD = 4096, 32  # of the maps that a program, and that a thread, holds at a time


@triton.jit
def _means(
    x,
    given,
    by_dx,
    channel,
    m,
    r,
    w,
    shift,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    GIVEN_LAST: tl.constexpr,  # noqa: N803
    DX_LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    """<u>, <u y>, <dx>, <dx y> and <u dx> of each map, (TOGETHER,)."""
    total: tl.constexpr = HEIGHT * WIDTH // 4
    u = tl.zeros((TOGETHER,), REAL)
    u_y = tl.zeros((TOGETHER,), REAL)
    dx = tl.zeros((TOGETHER,), REAL)
    dx_y = tl.zeros((TOGETHER,), REAL)
    both = tl.zeros((TOGETHER,), REAL)
    for first in range(0, total, SQUARES):
        a, b, c, d, ga, gb, gc, gd = normalised(
            x, given, channel, first, m, r, w, shift, CHANNELS, HEIGHT, WIDTH, LAST, GIVEN_LAST, SQUARES, REAL
        )
        ha, hb, hc, hd = load_squares(by_dx, channel, first, CHANNELS, HEIGHT, WIDTH, SQUARES, DX_LAST, REAL)
        u += tl.sum(ga + gb + gc + gd, axis=1)
        u_y += tl.sum(ga * a + gb * b + gc * c + gd * d, axis=1)
        dx += tl.sum(ha + hb + hc + hd, axis=1)
        dx_y += tl.sum(ha * a + hb * b + hc * c + hd * d, axis=1)
        both += tl.sum(ga * ha + gb * hb + gc * hc + gd * hd, axis=1)
    size: tl.constexpr = total * 4
    return u / size, u_y / size, dx / size, dx_y / size, both / size


@triton.jit
def _by_pixel(y, u, h, w, r, shift, of_u, of_h, of_y, mean, dweight, constant):
    """At one pixel of each square: the scalar's gradient by the map, and by u where the ReLU passes."""
    by_x = r * (of_u * u + of_h * h - mean - y * of_y)
    by_u = tl.where(y * w + shift <= 0, 0.0, w * r * h + y * dweight + constant)
    return by_x, by_u


@triton.jit
def _second(
    x,
    given,
    by_dx,
    weight,
    bias,
    mean,
    rstd,
    by_dweight,
    by_dbias,
    by_x,
    by_given,
    by_weight,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    GIVEN_LAST: tl.constexpr,  # noqa: N803
    DX_LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    REAL: tl.constexpr,  # noqa: N803
):
    total: tl.constexpr = HEIGHT * WIDTH // 4
    image, channel, exists, row = place(CHANNELS, TOGETHER)
    x += image * (CHANNELS * HEIGHT * WIDTH)
    by_x += image * (CHANNELS * HEIGHT * WIDTH)
    by_dx += image * (CHANNELS * HEIGHT * WIDTH)
    given += image * (CHANNELS * total)
    by_given += image * (CHANNELS * total)
    m = tl.load(mean + row, mask=exists, other=0.0)[:, None]
    r = tl.load(rstd + row, mask=exists, other=0.0)
    w = tl.load(weight + channel, mask=exists, other=0.0).to(REAL)
    shift = tl.load(bias + channel, mask=exists, other=0.0).to(REAL)[:, None]
    u, u_y, dx, dx_y, both = _means(
        x, given, by_dx, channel, m, r[:, None], w[:, None], shift,
        CHANNELS, HEIGHT, WIDTH, LAST, GIVEN_LAST, DX_LAST, TOGETHER, SQUARES, REAL,
    )  # fmt: skip
    inner = both - dx * u - dx_y * u_y
    tl.store(by_weight + row, inner * r * (total * 4), mask=exists)
    # By y: -scale (u dx_y + dx u_y) + by_dweight u, its mean, and its mean along y.
    of_u = tl.load(by_dweight + channel, mask=exists, other=0.0).to(REAL) - w * r * dx_y
    of_h = -w * r * u_y
    constant = tl.load(by_dbias + channel, mask=exists, other=0.0).to(REAL) - w * r * dx
    means = (of_u * u + of_h * dx)[:, None]
    of_y = (of_u * u_y + of_h * dx_y + w * r * inner)[:, None]
    of_u, of_h, constant, w, r = of_u[:, None], of_h[:, None], constant[:, None], w[:, None], r[:, None]
    for first in range(0, total, SQUARES):
        a, b, c, d, ga, gb, gc, gd = normalised(
            x, given, channel, first, m, r, w, shift, CHANNELS, HEIGHT, WIDTH, LAST, GIVEN_LAST, SQUARES, REAL
        )
        ha, hb, hc, hd = load_squares(by_dx, channel, first, CHANNELS, HEIGHT, WIDTH, SQUARES, DX_LAST, REAL)
        # By u: scale (dx - <dx> - y <dx y>) + by_dweight y + by_dbias; of_u is what multiplies y in it, too.
        a, ga = _by_pixel(a, ga, ha, w, r, shift, of_u, of_h, of_y, means, of_u, constant)
        b, gb = _by_pixel(b, gb, hb, w, r, shift, of_u, of_h, of_y, means, of_u, constant)
        c, gc = _by_pixel(c, gc, hc, w, r, shift, of_u, of_h, of_y, means, of_u, constant)
        d, gd = _by_pixel(d, gd, hd, w, r, shift, of_u, of_h, of_y, means, of_u, constant)
        store_squares(by_x, channel, first, a, b, c, d, CHANNELS, HEIGHT, WIDTH, SQUARES, LAST)
        at, inside = pooled_places(channel, first, CHANNELS, SQUARES, total, GIVEN_LAST)
        tl.store(by_given + at, ((ga + gb + gc + gd) * 0.25).to(by_given.dtype.element_ty), mask=inside)


def second(saved: Saved, given: Cotangents) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`~bacon.networks.kernels.block_plain.second_gradients`, in one kernel; it cannot be differentiated.

    Args:
        saved: the values that the first derivatives were computed from, maps contiguous or channels-last.
        given: the scalar's gradients by them, in any layout.

    Returns:
        Gradients by maps (N, C, H, W), weight (C,) and pooled gradient (N, C, H / 2, W / 2).
    """
    x, gradient, weight, bias, mean, rstd, _ = saved
    gradient = readable(gradient)
    by_dx = torch.zeros_like(x) if given.dx is None else readable(given.dx)
    by_dweight = torch.zeros_like(weight) if given.dweight is None else given.dweight.contiguous()
    by_dbias = torch.zeros_like(bias) if given.dbias is None else given.dbias.contiguous()
    by_x, by_gradient = torch.empty_like(x), torch.empty_like(gradient)
    by_weight = torch.empty(1, *mean.shape, dtype=mean.dtype, device=mean.device)
    grid, constants = launch(x, _NUMBERS, _PER_THREAD, GIVEN_LAST=channels_last(gradient), DX_LAST=channels_last(by_dx))
    arrays = (x, gradient, by_dx, weight, bias, mean, rstd, by_dweight, by_dbias, by_x, by_gradient, by_weight)
    _second[grid](*arrays, **constants)
    return by_x, sum_rows(by_weight)[0], by_gradient
