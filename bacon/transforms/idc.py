"""IDC's augmentation (Kim et al., ICML 2022), which DREAM, DANCE and NCFM use too: DSA's operations in another composition.

Mirror and colour always, then one of crop, scale and rotate, then cutout always; of each, what the strategy lists. Training
draws the geometric operation for each batch and all parameters for each image. Images are normalised before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_uniform, uniform
from bacon.transforms import affine_pass, operations, pass_numbers
from bacon.transforms.augmentation import BatchAugmentation, Stream, choices, integers, sent
from bacon.transforms.dsa import augment_by_numbers
from bacon.transforms.operations import Operation, apply_each

if TYPE_CHECKING:
    from bacon.settings.augmentations import Idc

PARAMETERS = 8
"""Numbers in [0, 1) per group: mirror 1, colour 3, geometry 2, cutout 2."""

_GEOMETRIC: dict[str, Operation] = {
    "crop": operations.crop,
    "scale": operations.scale,
    "rotate": operations.rotate,
}
_GEOMETRIC_CODES = {name: code for code, name in enumerate((*_GEOMETRIC, "none"))}


def geometric_operations(strategy: str) -> tuple[str, ...]:
    """The operations of ``strategy`` of which one is drawn; "none" where it lists none."""
    return tuple(name for name in strategy.split("_") if name in _GEOMETRIC) or ("none",)


def idc_augment(strategy: str, geometric: npt.NDArray[np.object_], parameters: Tensor, images: Tensor) -> Tensor:
    """Augment groups of images that share their parameters.

    Args:
        strategy: names of operations joined by "_".
        geometric: (G,) one of :func:`geometric_operations` for each group, as objects.
        parameters: (G, 8) numbers in [0, 1), multiples of 2^-24, float32 or float64, on the host or on the device.
        images: (G, n, C, H, W) float, normalised.

    Returns:
        (G, n, C, H, W), differentiable in ``images``.
    """
    if affine_pass.is_preferred(images):
        numbers = idc_numbers(strategy, geometric, parameters, *images.shape[-2:])
        return augment_by_numbers(images, sent(numbers, images.device, images.dtype))
    parameters = sent(parameters, images.device, images.dtype)
    names = strategy.split("_")
    if "flip" in names:
        images = operations.flip(images, [parameters[:, 0]])
    if "color" in names:
        images = operations.color(images, parameters[:, 1:4].unbind(dim=1))
    images = apply_each(_GEOMETRIC, geometric, parameters[:, 4:6], images)
    if "cutout" in names:
        images = operations.cutout(images, parameters[:, 6:8].unbind(dim=1))
    return images


def idc_numbers(
    strategy: str, geometric: npt.NDArray[np.object_], parameters: Tensor, height: int, width: int
) -> Tensor:
    """The numbers of the one pass that :func:`idc_augment` is on a GPU, (G, 14) where ``parameters`` are.

    The mirror image comes first in IDC's list and is part of the sampling here, after the colour, which does not notice.
    """
    codes = np.array([_GEOMETRIC_CODES[name] for name in geometric], dtype=np.int64)
    operation = sent(torch.from_numpy(codes), parameters.device)
    return _numbers_of_codes(strategy, tuple(_GEOMETRIC_CODES), operation, parameters, height, width)


def siamese_numbers(
    strategy: str, seed: Seed, purpose: str, iteration: int | Tensor, classes: Tensor, *, height: int, width: int
) -> Tensor:
    """The draw of :func:`siamese` for :func:`augment_by_numbers`, made on the device of ``classes``.

    Args:
        strategy: names of operations joined by "_".
        seed: distillation seed.
        purpose: name of the stream.
        iteration: distillation iteration; 0-d int64 on the device where the draw is recorded.
        classes: (K,) int64.
        height: of the images.
        width: of the images.

    Returns:
        (K, 14) float64.
    """
    drawn = device_uniform(
        seed,
        purpose,
        count=1 + PARAMETERS,
        device=classes.device,
        dtype=torch.float64,
        iteration=iteration,
        lanes=classes,
    )
    names = geometric_operations(strategy)
    return _numbers_of_codes(strategy, names, integers(drawn[:, 0], len(names)), drawn[:, 1:], height, width)


def _numbers_of_codes(
    strategy: str, geometric: Sequence[str], operation: Tensor, parameters: Tensor, height: int, width: int
) -> Tensor:
    """(G, 14): :func:`idc_numbers` of groups whose ``operation`` (G,) is a place in ``geometric``."""
    names, drawn = strategy.split("_"), parameters.unbind(dim=1)
    columns = pass_numbers.neutral(parameters)
    if "color" in names:
        columns |= pass_numbers.color(drawn[1:4], height, width)
    for place, name in enumerate(geometric):
        if name != "none":
            found = pass_numbers.DSA[name](drawn[4:6], height, width)
            columns = pass_numbers.replaced(columns, operation == place, found)
    if "flip" in names:
        columns = pass_numbers.mirrored(columns, drawn[0])
    if "cutout" in names:
        columns |= pass_numbers.cutout(drawn[6:8], height, width)
    return pass_numbers.packed(columns)


def siamese(
    strategy: str, seed: Seed, purpose: str, iteration: int, classes: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """IDC's list with one draw for all images of a class, as matching uses it for real and synthetic images alike.

    Args:
        strategy: names of operations joined by "_".
        seed: distillation seed.
        purpose: name of the stream.
        iteration: distillation iteration.
        classes: the K classes; a class's draw does not depend on which others are drawn.

    Returns:
        A function of images (K, n, C, H, W) float, normalised, that gives the same shape, differentiable.
    """
    lanes = np.asarray(classes, dtype=np.int64)
    drawn = uniform(seed, purpose, count=1 + PARAMETERS, iteration=iteration, lanes=lanes)
    geometric = choices(geometric_operations(strategy), drawn[:, 0])

    parameters = torch.from_numpy(drawn[:, 1:])
    kept: dict[tuple[int, int, torch.device, torch.dtype], Tensor] = {}

    def augment(images: Tensor) -> Tensor:
        if not affine_pass.is_preferred(images):
            return idc_augment(strategy, geometric, parameters, images)
        height, width = images.shape[-2:]
        key = (height, width, images.device, images.dtype)
        if key not in kept:
            numbers = idc_numbers(strategy, geometric, parameters, height, width)
            kept[key] = sent(numbers, images.device, images.dtype)
        return augment_by_numbers(images, kept[key])

    return augment


def augmentation(settings: Idc) -> BatchAugmentation:
    """IDC's list for training batches."""
    geometric = geometric_operations(settings.strategy)

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        chosen = choices(geometric, stream.per_batch("idc-operation", sizes)[:, 0])
        parameters = stream.per_image("idc-parameters", sizes, PARAMETERS, images)
        return idc_augment(settings.strategy, np.repeat(chosen, sizes), parameters, images[:, None])[:, 0]

    return augment
