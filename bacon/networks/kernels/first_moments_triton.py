# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""Means and variances of the first block's maps on a GPU, without the maps.

A map is z = P f, with P the numbers under its pixels, a row for each, and f its filter. So its mean is 1^T P f / n, and its
variance f^T (P^T P - P^T 1 1^T P / n) f / n: both follow from products of an image's numbers with each other, which all of its
maps share. One kernel sums these products over the 2x2 squares of the maps; another adds what the four pixels of a square
have in common with one filter, and multiplies it with every filter. Then the maps can be made, normed and pooled in one pass
(``first_triton``), and the backward pass needs the same products again (``first_back_triton``).

Products of bf16 or TF32 are exact, and summed in float32. Where an image is nearly even, what is left of them without the mean
is small beside them, but not very small: the border of zeros under the filters gives every map a variance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.first_tiles import (
    Prepared,
    Shape,
    cut,
    dot_precision,
    images_together,
    load_patches,
    to_tf32,
)

_SQUARES = 64  # of a tile of patches
_MAPS = 128  # of an image whose moments a program computes
_HELD = 2 * 132  # programs of that kind that an H200 works on at a time


class Patches(NamedTuple):
    """Sums over the squares of each image, of the numbers under them."""

    gram: Tensor
    """(N, 16 lanes, 16 lanes) float32: of their products about the mean."""
    rounded: Tensor | None
    """The same in the type that is multiplied; ``None`` where it was not asked for."""
    sums: Tensor
    """(N, 16 lanes) float32."""


class MapMoments(NamedTuple):
    """Of the maps, float32."""

    mean: Tensor
    """(N, channels)."""
    rstd: Tensor
    """1/sd, (N, channels)."""
    sums: Tensor
    """Over the squares, of each of their four pixels: (N, 4, channels)."""


@triton.jit
def _moments_of_patches(
    images,
    products_sum,
    gram,
    sums,
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    SQUARES: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    ONES: tl.constexpr,  # noqa: N803
    ROUNDED: tl.constexpr,  # noqa: N803
):
    """Of one image: sums s of the numbers under its squares, P^T 1, and P^T P - s s^T / squares."""
    # ONES: of each pixel the last number is 1, so that the products hold the sums.
    total: tl.constexpr = HEIGHT * WIDTH // 4
    products: tl.constexpr = 16 * LANES
    image = tl.program_id(0).to(tl.int64)
    images += image * ((HEIGHT + 2) * (WIDTH + 2) * LANES)
    squared = tl.zeros((products, products), tl.float32)
    s = tl.zeros((products,), tl.float32)
    for first in tl.range(0, total, SQUARES, num_stages=1):
        patch = load_patches(images, first, HEIGHT, WIDTH, LANES, SQUARES)
        squared = tl.dot(tl.trans(patch), patch, squared, input_precision=PRECISION)
        if not ONES:
            s += tl.sum(patch.to(tl.float32), axis=0)
    number = tl.arange(0, products)
    if ONES:
        s = tl.sum(tl.where((number == LANES - 1)[:, None], squared, 0.0), axis=0)
    tl.store(sums + image * products + number, s)
    across = tl.reshape(s, (products, 1))
    squared -= across * (s / total)[None, :]
    at = image * (products * products) + (number * products)[:, None] + number[None, :]
    tl.store(products_sum + at, squared)
    if ROUNDED:
        tl.store(gram + at, squared.to(gram.dtype.element_ty))


@triton.jit
def _product(a, filters):
    """A (rows, weights) float32 times filters, which TF32 holds as they are: with a in two parts, to float32's rounding."""
    large = to_tf32(a)
    return tl.dot(large, filters, tl.dot(a - large, filters, input_precision="tf32"), input_precision="tf32")


@triton.jit(do_not_specialize=["count", "together"])
def _moments_of_maps(
    products_sum,
    patch_sums,
    arranged,
    mean,
    rstd,
    map_sums,
    eps,
    count,
    together,
    CHANNELS: tl.constexpr,  # noqa: N803
    TOTAL: tl.constexpr,  # noqa: N803
    INPUTS: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    TAPS: tl.constexpr,  # noqa: N803
    MAPS: tl.constexpr,  # noqa: N803
):
    """Mean and 1/sd of maps of so many images, and the sums of each pixel of their squares."""
    products: tl.constexpr = 16 * LANES
    blocks: tl.constexpr = (CHANNELS + MAPS - 1) // MAPS
    group = tl.program_id(0) // blocks
    channel = (tl.program_id(0) % blocks) * MAPS + tl.arange(0, MAPS)
    exists = channel < CHANNELS
    # Where the weights of a filter lie under a square, for its first pixel; for the others as many numbers further.
    tap = tl.arange(0, TAPS)
    real = tap < 9 * INPUTS
    number = (tap // INPUTS // 3 * 4 + tap // INPUTS % 3) * LANES + tap % INPUTS
    filters = tl.load(
        arranged + (number * CHANNELS)[:, None] + channel[None, :], mask=real[:, None] & exists[None, :], other=0.0
    ).to(tl.float32)
    corner = tl.arange(0, 16)  # rows beyond the four pixels of a square are 0
    pixel = (corner < 4)[:, None]
    for image_number in tl.range(group * together, tl.minimum((group + 1) * together, count), num_stages=1):
        image = tl.cast(image_number, tl.int64)
        common = tl.zeros((TAPS, TAPS), tl.float32)
        for one in tl.static_range(4):
            here = number + (one // 2 * 4 + one % 2) * LANES
            at = products_sum + image * (products * products) + (here * products)[:, None] + here[None, :]
            common += tl.load(at, mask=real[:, None] & real[None, :], other=0.0)
        at = patch_sums + image * products + ((corner // 2 * 4 + corner % 2) * LANES)[:, None] + number[None, :]
        sums = _product(tl.load(at, mask=pixel & real[None, :], other=0.0), filters)
        at = map_sums + image * (4 * CHANNELS) + (corner * CHANNELS)[:, None] + channel[None, :]
        tl.store(at, sums, mask=pixel & exists[None, :])
        total = tl.sum(sums, axis=0)
        # The squared distances from each pixel's own mean, and of these means from the map's.
        apart = tl.where(pixel, sums - (total * 0.25)[None, :], 0.0)
        spread = tl.sum(filters * _product(common, filters), axis=0) + tl.sum(apart * apart, axis=0) / TOTAL
        spread = tl.where(spread < 0, 0.0, spread)  # by rounding; NaN stays NaN
        tl.store(mean + image * CHANNELS + channel, total / (4 * TOTAL), mask=exists)
        tl.store(rstd + image * CHANNELS + channel, 1.0 / tl.sqrt(spread / (4 * TOTAL) + eps), mask=exists)


def moments_of_patches(prepared: Prepared, shape: Shape, precision: str, *, rounded: bool) -> Patches:
    """Sums and products of the numbers under the squares of each image.

    Args:
        prepared: images and filters as the kernels read them.
        shape: the sizes.
        precision: of the products: bf16, tf32 or fp32.
        rounded: whether the products are wanted in the type that is multiplied too; in float32 these are the same tensor.
    """
    images, count, products = prepared.images, len(prepared.images), shape.products
    gram = torch.empty(count, products, products, dtype=torch.float32, device=images.device)
    sums = torch.empty(count, products, dtype=torch.float32, device=images.device)
    half = torch.empty_like(gram, dtype=images.dtype) if rounded and images.dtype != torch.float32 else None
    ways = {"ONES": shape.spare, "ROUNDED": half is not None}
    _moments_of_patches[(count,)](
        images, gram, gram if half is None else half, sums, **patch_tiles(shape, precision), **ways
    )
    return Patches(gram, gram if rounded and half is None else half, sums)


def patch_tiles(shape: Shape, precision: str) -> dict[str, int | str]:
    """Compile-time sizes of the kernel that multiplies the numbers under the squares."""
    maps = {"HEIGHT": shape.height, "WIDTH": shape.width, "LANES": shape.lanes}
    return maps | {"SQUARES": cut(shape, _SQUARES, 4)["SQUARES"], "PRECISION": dot_precision(precision), "num_warps": 4}


def moments_of_maps(patches: Patches, prepared: Prepared, shape: Shape, eps: float) -> MapMoments:
    """Mean and 1/sd of each map, and sums of its squares' pixels.

    Args:
        patches: of the images.
        prepared: images and filters as the kernels read them.
        shape: the sizes.
        eps: added to the variance.
    """
    count, channels, device = len(prepared.images), shape.channels, prepared.images.device
    mean, rstd = torch.empty(2, count, channels, dtype=torch.float32, device=device)
    sums = torch.empty(count, 4, channels, dtype=torch.float32, device=device)
    sizes = map_tiles(shape)
    blocks = triton.cdiv(channels, sizes["MAPS"])
    images = images_together(count, blocks, _HELD)
    grid = (triton.cdiv(count, images) * blocks,)
    _moments_of_maps[grid](*patches[::2], prepared.filters, mean, rstd, sums, eps, count, images, **sizes)
    return MapMoments(mean, rstd, sums)


def map_tiles(shape: Shape) -> dict[str, int]:
    """Compile-time sizes of the kernel that multiplies the sums with the filters."""
    taps = max(16, triton.next_power_of_2(9 * shape.inputs))
    maps = min(_MAPS, max(16, triton.next_power_of_2(shape.channels)))
    sizes = {"CHANNELS": shape.channels, "TOTAL": shape.height * shape.width // 4, "INPUTS": shape.inputs}
    return sizes | {"LANES": shape.lanes, "TAPS": taps, "MAPS": maps, "num_warps": 4}
