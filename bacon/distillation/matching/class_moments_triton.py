# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, type-arg"
"""Mean and standard deviation of each class's embeddings on a GPU, from maps as they lie in memory, and the means' gradient.

By PyTorch's operations maps are made contiguous and float32, and read or written some ten times. Here each program has some
features of a class and goes through its images, once for the mean and, where the deviation is wanted, once more (from the
cache) for the squares of what is left without it. All sums are float32 (of float64 maps float64) in a fixed order, so that two
runs give the same bits.

It needs Triton, which comes with PyTorch's CUDA builds; ``bacon.distillation.matching.class_moments_gpu`` imports it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from bacon.networks.kernels.triton_tiles import channels_last

_NUMBERS = 8192  # of a program at a time
_WARPS = 8
_MOST_FEATURES, _LEAST_FEATURES = 64, 16  # of a program: neighbours in memory, 32 bytes at least
_PROGRAMS = 264  # at least, where there are enough features: two for each multiprocessor of a large GPU
_WRITTEN_IMAGES, _WRITTEN_FEATURES, _WRITTEN_WARPS = 32, 128, 4  # of a program of the gradient


@triton.jit
def _column(feature, channels, pixels, LAST: tl.constexpr):  # noqa: N803
    """Places in an embedding of features that are counted as they lie in memory."""
    return feature % channels * pixels + feature // channels if LAST else feature


@triton.jit
def _moments(
    maps, mean, std, count, features, channels, pixels,
    IMAGES: tl.constexpr, FEATURES: tl.constexpr, LAST: tl.constexpr, STD: tl.constexpr, REAL: tl.constexpr,  # noqa: N803
):  # fmt: skip
    label = tl.program_id(1).to(tl.int64)
    feature = tl.program_id(0) * FEATURES + tl.arange(0, FEATURES)
    image = tl.arange(0, IMAGES).to(tl.int64)
    real = feature < features
    own = maps + label * count * features + feature[None, :]
    total = tl.zeros((IMAGES, FEATURES), REAL)
    for start in range(0, count, IMAGES):
        inside = (start + image < count)[:, None] & real[None, :]
        total += tl.load(own + (start + image)[:, None] * features, mask=inside, other=0.0).to(REAL)
    average = tl.sum(total, axis=0) / count
    place = label * features + _column(feature, channels, pixels, LAST)
    tl.store(mean + place, average, mask=real)
    if STD:
        squares = tl.zeros((IMAGES, FEATURES), REAL)
        for start in range(0, count, IMAGES):
            inside = (start + image < count)[:, None] & real[None, :]
            value = tl.load(own + (start + image)[:, None] * features, mask=inside, other=0.0).to(REAL)
            away = tl.where(inside, value - average[None, :], 0.0)
            squares += away * away
        tl.store(std + place, tl.sqrt(tl.sum(squares, axis=0) / (count - 1)), mask=real)


@triton.jit
def _to_maps(
    gradient, added, out, count, features, channels, pixels,
    IMAGES: tl.constexpr, FEATURES: tl.constexpr, LAST: tl.constexpr, ADDED: tl.constexpr, REAL: tl.constexpr,  # noqa: N803
):  # fmt: skip
    label = tl.program_id(1).to(tl.int64)
    feature = tl.program_id(0) * FEATURES + tl.arange(0, FEATURES)
    image = tl.program_id(2) * IMAGES + tl.arange(0, IMAGES)
    real = feature < features
    given = tl.load(gradient + label * features + _column(feature, channels, pixels, LAST), mask=real, other=0.0)
    value = tl.zeros((IMAGES, FEATURES), REAL) + (given.to(REAL) / count)[None, :]
    inside = (image < count)[:, None] & real[None, :]
    place = (label * count + image)[:, None] * features + feature[None, :]
    if ADDED:
        value += tl.load(added + place, mask=inside, other=0.0).to(REAL)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


def moments(maps: Tensor, classes: int, *, std: bool) -> tuple[Tensor, Tensor | None]:
    """Means of the embeddings of each class, and unbiased standard deviations.

    Args:
        maps: (K * n, C, H, W) of n images of each class, class by class; float32, float64 or bfloat16, contiguous or
            channels-last.
        classes: K.
        std: whether deviations are wanted.

    Returns:
        (K, C * H * W) each, in the order of flattened contiguous maps; of bfloat16 maps float32, otherwise in the dtype of the
        maps. Deviations of a single image are NaN.
    """
    count, channels, height, width = maps.shape
    own, features = count // classes, channels * height * width
    mean = torch.empty(classes, features, dtype=_real(maps), device=maps.device)
    deviation = torch.empty_like(mean) if std else None
    together = min(_MOST_FEATURES, triton.next_power_of_2(features))
    while together > _LEAST_FEATURES and classes * triton.cdiv(features, together) < _PROGRAMS:
        together //= 2
    images = min(max(1, _NUMBERS // together), triton.next_power_of_2(own))
    _moments[(triton.cdiv(features, together), classes)](
        maps, mean, mean if deviation is None else deviation, own, features, channels, height * width,
        IMAGES=images, FEATURES=together, LAST=channels_last(maps), STD=std, REAL=_arithmetic(maps), num_warps=_WARPS,
    )  # fmt: skip
    return mean, deviation


def to_maps(gradient: Tensor, like: Tensor, added: Tensor | None) -> Tensor:
    """The gradient of maps, in their dtype and layout, of that of their means.

    Args:
        gradient: (K, C * H * W), of the means; contiguous.
        like: (K * n, C, H, W), shaped, typed and laid out as the maps; its numbers are not read.
        added: a further gradient of the maps, like them; None: there is none.
    """
    count, channels, height, width = like.shape
    classes, features = gradient.shape
    out = torch.empty_like(like)
    grid = (
        triton.cdiv(features, _WRITTEN_FEATURES),
        classes,
        triton.cdiv(count // classes, _WRITTEN_IMAGES),
    )
    _to_maps[grid](
        gradient, gradient if added is None else added, out, count // classes, features, channels, height * width,
        IMAGES=_WRITTEN_IMAGES, FEATURES=_WRITTEN_FEATURES, LAST=channels_last(like), ADDED=added is not None,
        REAL=_arithmetic(like), num_warps=_WRITTEN_WARPS,
    )  # fmt: skip
    return out


def _real(maps: Tensor) -> torch.dtype:
    return torch.float64 if maps.dtype == torch.float64 else torch.float32


def _arithmetic(maps: Tensor) -> tl.dtype:
    return tl.float64 if maps.dtype == torch.float64 else tl.float32
