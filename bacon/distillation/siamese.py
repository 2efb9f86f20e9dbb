"""Augmentation that real and synthetic images of a class share, drawn on the device where a step's number is a tensor there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from bacon.distillation.class_draws import ClassDraws
from bacon.distillation.real_images import RealImages
from bacon.runtime.draws import Seed
from bacon.transforms import dsa, idc
from bacon.transforms.dsa import augment_by_numbers

Siamese = Callable[[Tensor], Tensor]
"""Augments images (K, n, C, H, W) of K classes, all images of a class alike."""


def dsa_siamese(
    strategy: str,
    seed: Seed,
    number: int | Tensor,
    classes: Sequence[int],
    real: RealImages,
    draws: ClassDraws | None = None,
) -> Siamese:
    """DSA, one draw per class.

    Args:
        strategy: DSA operations joined by _, or ``none``.
        seed: distillation seed.
        number: what the draw belongs to; 0-d int64 on the device where it is recorded.
        classes: the K classes; a class's draw does not depend on which others are drawn.
        real: the shape of images, and the device.
        draws: those of the step, which others of its pieces share.
    """
    if not isinstance(number, Tensor):
        return partial(dsa.siamese_augment, dsa.siamese_draw(strategy, seed, number, classes))
    if strategy == "none":
        return lambda images: images
    _, height, width = real.shape

    def draw(some: Sequence[int]) -> Tensor:
        drawn = dsa.siamese_numbers(strategy, seed, number, real.index(some), height=height, width=width)
        return drawn.to(real.dtype)  # here and not below: once for all chunks of classes

    numbers = (draws or ClassDraws(real)).of("dsa", number, classes, draw)
    return lambda images: augment_by_numbers(images, numbers.to(images.dtype))


def idc_siamese(
    strategy: str,
    seed: Seed,
    purpose: str,
    number: int | Tensor,
    classes: Sequence[int],
    real: RealImages,
    draws: ClassDraws | None = None,
) -> Siamese:
    """IDC's list, one draw per class.

    Args:
        strategy: IDC operations joined by _.
        seed: distillation seed.
        purpose: name of the stream of draws.
        number: as for :func:`dsa_siamese`.
        classes: the K classes.
        real: the shape of images, and the device.
        draws: as for :func:`dsa_siamese`.
    """
    if not isinstance(number, Tensor):
        return idc.siamese(strategy, seed, purpose, number, classes)
    _, height, width = real.shape

    def draw(some: Sequence[int]) -> Tensor:
        return idc.siamese_numbers(strategy, seed, purpose, number, real.index(some), height=height, width=width)

    numbers = (draws or ClassDraws(real)).of(purpose, number, classes, draw)
    return lambda images: augment_by_numbers(images, numbers.to(images.dtype))
