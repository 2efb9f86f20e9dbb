# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A ConvNet's whole first block on a GPU, backward: gradients of filters and norm, without the maps in memory.

The maps are made again from the copied images (``first_triton``), once. With P the numbers under an image's squares, F the
filters, z = P F, y = (z - m) r, and u the pooled gradient where the ReLU passes, the map's gradient is w r (u - <u> - y <u y>),
and that of the filters P^T times it: w r (P^T u - s <u> - <u y> r (P^T P F - s m)), s = P^T 1. Of this only P^T u needs the
maps; P^T P and s are those of the forward pass (``first_moments_triton``), P^T P about its mean, which the sums of z give back.
Where a pixel of the copied images has a number to spare it is 1: P^T u then holds the sums of u, and those of u z are sums of
F P^T u.

The maps lie on their side, (4 channels, squares): a thread holds numbers of two columns of the filters only, and the masked
gradient goes from registers into the product. A program takes a block of channels of a group of images; what each group gives
is added up by a second kernel in a fixed order. There are no atomics: equal input gives equal bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.first_tiles import (
    Prepared,
    Shape,
    at_corners,
    columns,
    cut,
    dot_precision,
    images_together,
    load_filters,
    load_patches,
    pooled_at,
)
from bacon.networks.kernels.triton_tiles import channels_last

_REGISTERS = 168  # of a thread, where a multiprocessor holds three programs
_HELD, _HELD_FP32 = 3 * 132, 2 * 132  # programs that an H200 works on at a time
_ROWS_TOGETHER, _COLUMNS_TOGETHER = 256, 16  # of the groups' sums


class Known(NamedTuple):
    """What the forward pass has found about images and maps; ``None``: not."""

    gram: Tensor | None
    """(N, 16 lanes, 16 lanes) in the type that is multiplied: products of the numbers under the squares, about their mean."""
    patch_sums: Tensor | None
    """(N, 16 lanes) float32: of these numbers."""
    map_sums: Tensor | None
    """(N, 4, channels) float32: of each pixel of the maps' squares."""


@triton.jit
def _load_given(
    given,
    start,
    first,
    CHANNELS: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
):
    """The pooled gradient of the squares, the same for their four pixels: (4 TOGETHER, SQUARES)."""
    at, inside = pooled_at(start, first, CHANNELS, SQUARES, TOTAL, LAST, TOGETHER, TOGETHER)
    g = tl.trans(tl.load(given + at, mask=inside, other=0.0))
    return tl.reshape(tl.broadcast_to(g[None, :, :], (4, TOGETHER, SQUARES)), (4 * TOGETHER, SQUARES))


@triton.jit
def _add_three(a, b, c, d, e, f):
    return a + d, b + e, c + f


@triton.jit
def _over_squares(
    padded,
    pooled,
    start,
    filters,
    factor,
    shift,
    by_filters,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    FILTERS: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    ONES: tl.constexpr,  # noqa: N803
):
    """Of one image, over its squares: sums of u, u z and z, (4 TOGETHER,), and P^T u; or P^T u w r added to ``by_filters``.

    The map is given to the ReLU as z factor + shift. Sums that nobody needs are zero.
    """
    total: tl.constexpr = HEIGHT * WIDTH // 4
    u = tl.zeros((4 * TOGETHER,), tl.float32)
    u_z = tl.zeros((4 * TOGETHER,), tl.float32)
    all_z = tl.zeros((4 * TOGETHER,), tl.float32)
    by_patch = tl.zeros((4 * TOGETHER, 16 * LANES), tl.float32)
    for first in tl.range(0, total, SQUARES, num_stages=1):
        patch = load_patches(padded, first, HEIGHT, WIDTH, LANES, SQUARES)
        g = _load_given(pooled, start, first, CHANNELS, SQUARES, total, LAST, TOGETHER)
        z = tl.dot(filters, tl.trans(patch), input_precision=PRECISION)
        passed = tl.where(z * factor[:, None] + shift[:, None] <= 0, 0.0, g).to(g.dtype)
        if not ONES:
            u += tl.sum(passed.to(tl.float32), axis=1)
            u_z += tl.sum(passed.to(tl.float32) * z, axis=1)
        if FILTERS and not ONES:
            if total % SQUARES != 0:  # without squares that are not there, z is 0
                z = tl.where((first + tl.arange(0, SQUARES) < total)[None, :], z, 0.0)
            all_z += tl.sum(z, axis=1)
        if FILTERS and SCALED:
            scaled = (passed.to(tl.float32) * (factor * 0.25)[:, None]).to(patch.dtype)
            by_filters = tl.dot(scaled, patch, by_filters, input_precision=PRECISION)
        elif ONES or FILTERS:
            by_patch = tl.dot(passed.to(patch.dtype), patch, by_patch, input_precision=PRECISION)
    return u, u_z, all_z, by_patch, by_filters


@triton.jit
def _without_what_the_norm_takes(
    by_filters,
    by_patch,
    filters,
    factor,
    slope,
    offset,
    mean_z,
    gram,
    patch_sums,
    PRODUCTS: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
):
    """``by_filters`` with one image's share: P^T of what slope z + offset takes away from u."""
    number = tl.arange(0, PRODUCTS)
    by_z = tl.dot(
        filters, tl.trans(tl.load(gram + (number * PRODUCTS)[:, None] + number[None, :])), input_precision=PRECISION
    )
    s = tl.load(patch_sums + number)
    if SCALED:
        by_filters -= (factor * slope)[:, None] * by_z
        by_filters -= (factor * (offset + slope * mean_z))[:, None] * s[None, :]
    else:
        by_patch = by_patch * 0.25 - slope[:, None] * by_z
        by_patch -= (offset + slope * mean_z)[:, None] * s[None, :]
        by_filters += factor[:, None] * by_patch
    return by_filters


@triton.jit(do_not_specialize=["count", "together"])
def _backward(
    images,
    arranged,
    given,
    weight,
    bias,
    mean,
    rstd,
    gram,
    patch_sums,
    map_sums,
    by_u,
    by_u_y,
    grouped,
    count,
    together,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    LAST: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    FILTERS: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    ONES: tl.constexpr,  # noqa: N803
):
    # SCALED: what is summed over images is u w r; else P^T u of each image, which takes registers.
    # ONES: sums of u and u z are taken from P^T u. u and sums of it are four times too large up to the sums over corners.
    total: tl.constexpr = HEIGHT * WIDTH // 4
    products: tl.constexpr = 16 * LANES
    blocks: tl.constexpr = (CHANNELS + TOGETHER - 1) // TOGETHER
    group = tl.program_id(0) // blocks
    start = (tl.program_id(0) % blocks) * TOGETHER
    corner, channel, exists = columns(start, CHANNELS, TOGETHER)
    w, shift = tl.load(weight + channel, mask=exists, other=0.0), tl.load(bias + channel, mask=exists, other=0.0)
    filters = tl.trans(load_filters(arranged, start, CHANNELS, LANES, TOGETHER))
    number = tl.arange(0, products)
    single = start + tl.arange(0, TOGETHER)
    sum_u = tl.zeros((TOGETHER,), tl.float32)
    sum_u_y = tl.zeros((TOGETHER,), tl.float32)
    by_filters = tl.zeros((4 * TOGETHER, products), tl.float32)
    for image_number in tl.range(group * together, tl.minimum((group + 1) * together, count), num_stages=1):
        image = tl.cast(image_number, tl.int64)
        padded, pooled = images + image * ((HEIGHT + 2) * (WIDTH + 2) * LANES), given + image * (CHANNELS * total)
        m = tl.load(mean + image * CHANNELS + channel, mask=exists, other=0.0)
        r = tl.load(rstd + image * CHANNELS + channel, mask=exists, other=0.0)
        u, u_z, all_z, by_patch, by_filters = _over_squares(
            padded,
            pooled,
            start,
            filters,
            w * r,
            shift - m * (w * r),
            by_filters,
            CHANNELS,
            HEIGHT,
            WIDTH,
            LANES,
            LAST,
            TOGETHER,
            SQUARES,
            PRECISION,
            FILTERS,
            SCALED,
            ONES,
        )
        if ONES:
            weights = filters.to(tl.float32)
            u = tl.sum(tl.where((number == LANES - 1)[None, :], by_patch, 0.0), axis=1)
            u_z = tl.sum(weights * by_patch, axis=1)
            all_z = tl.load(map_sums + image * (4 * CHANNELS) + corner * CHANNELS + channel, mask=exists, other=0.0)
        # A square's four pixels share the pooled gradient: a quarter each.
        shape: tl.constexpr = (4, TOGETHER)
        map_u, map_u_z, map_z = tl.reduce(
            (tl.reshape(u * 0.25, shape), tl.reshape(u_z * 0.25, shape), tl.reshape(all_z, shape)), 0, _add_three
        )
        at = image * CHANNELS + single
        if ONES:  # noqa: SIM108 - only one of the two is compiled
            centre = map_z / (total * 4)
        else:
            centre = tl.load(mean + at, mask=single < CHANNELS, other=0.0)
        scale = tl.load(rstd + at, mask=single < CHANNELS, other=0.0)
        map_u_y = (map_u_z - centre * map_u) * scale
        sum_u += map_u
        sum_u_y += map_u_y
        tl.store(by_u + at, map_u, mask=single < CHANNELS)
        tl.store(by_u_y + at, map_u_y, mask=single < CHANNELS)
        if FILTERS:
            slope = map_u_y * scale / (total * 4)
            offset = at_corners(map_u / (total * 4) - slope * centre, TOGETHER)
            slope = at_corners(slope, TOGETHER)
            by_filters = _without_what_the_norm_takes(
                by_filters,
                by_patch,
                filters,
                w * r,
                slope,
                offset,
                all_z * (1.0 / total),
                gram + image * (products * products),
                patch_sums + image * products,
                products,
                PRECISION,
                SCALED,
            )
    grouped += tl.cast(group, tl.int64) * ((4 * products + 2) * CHANNELS)
    tl.store(grouped + 4 * products * CHANNELS + single, sum_u_y, mask=single < CHANNELS)
    tl.store(grouped + (4 * products + 1) * CHANNELS + single, sum_u, mask=single < CHANNELS)
    if FILTERS:
        at = (corner * (products * CHANNELS) + channel)[:, None] + (number * CHANNELS)[None, :]
        tl.store(grouped + at, by_filters, mask=exists[:, None])


@triton.jit(do_not_specialize=["groups"])
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
    known: Known,
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
        known: of the forward pass: of images where the filters' gradient is wanted; of maps in bf16 and tf32.
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
    images = images_together(count, blocks, _HELD_FP32 if precision == "fp32" else _HELD)
    groups = triton.cdiv(count, images)
    sums = torch.empty(2, count, channels, dtype=torch.float32, device=device)
    grouped = torch.empty(groups, 4 * shape.products + 2, channels, dtype=torch.float32, device=device)
    constants = shape.constants() | cuts | {"LAST": channels_last(given), "FILTERS": by_filters}
    moments = [sums if each is None else each for each in known]  # what is not known is not read
    _backward[(groups * blocks,)](
        *prepared, given, *norm, *moments, sums[0], sums[1], grouped, count, images, **constants
    )
    of_filters = torch.empty_like(filters)
    of_norm = torch.empty(2, channels, dtype=torch.float32, device=device)
    sizes = {"INPUTS": shape.inputs, "CHANNELS": channels, "LANES": shape.lanes}
    tables = {"ROWS": _ROWS_TOGETHER, "COLUMNS": _COLUMNS_TOGETHER, "num_warps": 4}
    _add_groups[(9 * shape.inputs + 2, triton.cdiv(channels, _COLUMNS_TOGETHER))](
        grouped, of_filters, of_norm, groups, *filters.stride(), **sizes, **tables
    )
    return of_filters if by_filters else None, of_norm, sums


def _tiles(shape: Shape, precision: str) -> dict[str, Any]:
    """Compile-time sizes of the backward kernel's tiles, and how it works."""
    ways = {"SCALED": precision == "fp32", "ONES": shape.spare and precision != "fp32"}
    squares = {"bf16": 64, "tf32": 32 if shape.lanes > 1 else 64, "fp32": 16}[precision]
    limit = {} if precision == "fp32" else {"maxnreg": _REGISTERS}
    return cut(shape, squares, 4) | {"PRECISION": dot_precision(precision)} | ways | limit
