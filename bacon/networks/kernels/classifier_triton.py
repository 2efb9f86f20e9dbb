# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""A linear layer on flattened maps, forward and backward, which reads and writes the maps where and as they lie in memory.

PyTorch first makes a contiguous copy of channels-last maps, and another one in float32 of bfloat16. Here features are counted
as they lie, and the weights' columns are found for them. Products are float32's up to rounding (three of TF32), and sums over
pieces of the features have an order, so that two runs give the same bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.triton_tiles import channels_last

_IMAGES, _FEATURES = 64, 64  # of a product
_MOST_CLASSES = 64  # of a product
_PROGRAMS = 264  # of the forward pass: two for each multiprocessor of a large GPU
_SUMMED = 256
_WARPS, _WARPS_OF_MANY = 4, 8  # with fewer than _MOST_CLASSES, or as many: without spills (compute capability 9.0)


@triton.jit
def _column(feature, channels, pixels, LAST: tl.constexpr):  # noqa: N803
    """Columns of the weights of features that are counted as they lie in memory."""
    return feature % channels * pixels + feature // channels if LAST else feature


@triton.jit
def _partial(
    maps, weight, parts, count, classes, features, channels, pixels, share,
    IMAGES: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, LAST: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """The logits' sums over ``share`` features, which is a multiple of FEATURES."""
    image = tl.program_id(0) * IMAGES + tl.arange(0, IMAGES)
    label = tl.program_id(1) * CLASSES + tl.arange(0, CLASSES)
    part = tl.program_id(2)
    row = image.to(tl.int64)[:, None] * features
    total = tl.zeros((IMAGES, CLASSES), tl.float32)
    for start in range(part * share, min((part + 1) * share, features), FEATURES):
        feature = start + tl.arange(0, FEATURES)
        real = feature < features
        x = tl.load(maps + row + feature[None, :], mask=(image < count)[:, None] & real[None, :], other=0.0)
        column = _column(feature, channels, pixels, LAST)
        factor = weight + label[None, :] * features + column[:, None]
        w = tl.load(factor, mask=real[:, None] & (label < classes)[None, :], other=0.0)
        total = tl.dot(x.to(tl.float32), w, total, input_precision="tf32x3")
    inside = (image < count)[:, None] & (label < classes)[None, :]
    tl.store(parts + (part.to(tl.int64) * count + image[:, None]) * classes + label[None, :], total, mask=inside)


@triton.jit
def _summed(parts, bias, logits, entries, classes, share, PLACES: tl.constexpr):  # noqa: N803
    place = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
    real = place < entries
    total = tl.load(bias + place % classes, mask=real, other=0.0)
    for part in range(share):
        total += tl.load(parts + part * entries + place, mask=real, other=0.0)
    tl.store(logits + place, total, mask=real)


@triton.jit
def _to_maps(
    gradient, weight, out, count, classes, features, channels, pixels,
    IMAGES: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, LAST: tl.constexpr,  # noqa: N803
):  # fmt: skip
    image = tl.program_id(0) * IMAGES + tl.arange(0, IMAGES)
    feature = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    column = _column(feature, channels, pixels, LAST)
    total = tl.zeros((IMAGES, FEATURES), tl.float32)
    for start in range(0, classes, CLASSES):
        label = start + tl.arange(0, CLASSES)
        real = label < classes
        at = gradient + image.to(tl.int64)[:, None] * classes + label[None, :]
        g = tl.load(at, mask=(image < count)[:, None] & real[None, :], other=0.0)
        factor = weight + label[:, None] * features + column[None, :]
        w = tl.load(factor, mask=real[:, None] & (feature < features)[None, :], other=0.0)
        total = tl.dot(g, w, total, input_precision="tf32x3")
    inside = (image < count)[:, None] & (feature < features)[None, :]
    at = out + image.to(tl.int64)[:, None] * features + feature[None, :]
    tl.store(at, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _to_weights(
    gradient, maps, out, bias, count, classes, features, channels, pixels,
    IMAGES: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, LAST: tl.constexpr,  # noqa: N803
):  # fmt: skip
    label = tl.program_id(0) * CLASSES + tl.arange(0, CLASSES)
    feature = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    total = tl.zeros((CLASSES, FEATURES), tl.float32)
    along = tl.zeros((CLASSES, IMAGES), tl.float32)
    for start in range(0, count, IMAGES):
        image = start + tl.arange(0, IMAGES)
        real = image < count
        at = gradient + image[None, :].to(tl.int64) * classes + label[:, None]
        g = tl.load(at, mask=(label < classes)[:, None] & real[None, :], other=0.0)
        at = maps + image.to(tl.int64)[:, None] * features + feature[None, :]
        x = tl.load(at, mask=real[:, None] & (feature < features)[None, :], other=0.0)
        total = tl.dot(g, x.to(tl.float32), total, input_precision="tf32x3")
        along += g
    column = _column(feature, channels, pixels, LAST)
    inside = (label < classes)[:, None] & (feature < features)[None, :]
    tl.store(out + label[:, None] * features + column[None, :], total, mask=inside)
    if tl.program_id(1) == 0:
        tl.store(bias + label, tl.sum(along, axis=1), mask=label < classes)


def _sizes(maps: Tensor) -> tuple[int, int, int, int]:
    """Images, features, channels and pixels of maps."""
    count, channels, height, width = maps.shape
    return count, channels * height * width, channels, height * width


def _tiles(maps: Tensor, classes: int) -> dict[str, int | bool]:
    together = min(_MOST_CLASSES, max(16, triton.next_power_of_2(classes)))
    last = channels_last(maps)
    warps = _WARPS if together < _MOST_CLASSES else _WARPS_OF_MANY
    return {"IMAGES": _IMAGES, "CLASSES": together, "FEATURES": _FEATURES, "LAST": last, "num_warps": warps}


def forward(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, K) float32 logits.

    Args:
        maps: (N, C, H, W) float32 or bfloat16, contiguous or channels-last.
        weight: (K, C * H * W) float32, contiguous.
        bias: (K,) float32.
    """
    classes = len(weight)
    count, features, channels, pixels = _sizes(maps)
    tiles = _tiles(maps, classes)
    blocks = triton.cdiv(count, _IMAGES), triton.cdiv(classes, int(tiles["CLASSES"]))
    pieces = triton.cdiv(features, _FEATURES)
    turns = triton.cdiv(pieces, max(1, min(pieces, _PROGRAMS // (blocks[0] * blocks[1]))))
    parts = torch.empty(triton.cdiv(pieces, turns), count, classes, device=maps.device)
    _partial[(*blocks, len(parts))](
        maps, weight, parts, count, classes, features, channels, pixels, turns * _FEATURES, **tiles
    )
    logits = torch.empty(count, classes, device=maps.device)
    entries = count * classes
    _summed[(triton.cdiv(entries, _SUMMED),)](parts, bias, logits, entries, classes, len(parts), PLACES=_SUMMED)
    return logits


def to_maps(gradient: Tensor, maps: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the maps, in their dtype and layout, of that of the logits (N, K) float32, contiguous."""
    count, features, channels, pixels = _sizes(maps)
    out = torch.empty_like(maps)
    _to_maps[(triton.cdiv(count, _IMAGES), triton.cdiv(features, _FEATURES))](
        gradient, weight, out, count, len(weight), features, channels, pixels, **_tiles(maps, len(weight))
    )
    return out


def to_weights(gradient: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weight (K, C * H * W) and bias (K,), float32, of that of the logits (N, K) float32, contiguous."""
    classes = gradient.shape[1]
    count, features, channels, pixels = _sizes(maps)
    tiles = _tiles(maps, classes)
    weight = torch.empty(classes, features, device=maps.device)
    bias = torch.empty(classes, device=maps.device)
    _to_weights[(triton.cdiv(classes, int(tiles["CLASSES"])), triton.cdiv(features, _FEATURES))](
        gradient, maps, weight, bias, count, classes, features, channels, pixels, **tiles
    )
    return weight, bias
