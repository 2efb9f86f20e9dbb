"""FRePo's evaluation augmentation (Zhou et al., NeurIPS 2022): one operation for each batch, parameters for each image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bacon.transforms import operations
from bacon.transforms.augmentation import BatchAugmentation, Stream, choices
from bacon.transforms.operations import Operation, apply_each

if TYPE_CHECKING:
    from bacon.settings.augmentations import Frepo

_PARAMETERS = 3
_COLOR = 0.25
_ZOOM = (0.8, 1.25)
_CUTOUT_RATIO = 0.25


def augmentation(settings: Frepo) -> BatchAugmentation:
    """FRePo's list for training batches."""
    names = settings.strategy.split("_")

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        chosen = choices(names, stream.per_batch("frepo-operation", sizes)[:, 0])
        parameters = stream.per_image("frepo-parameters", sizes, _PARAMETERS, images)
        return apply_each(_OPERATIONS, np.repeat(chosen, sizes), parameters, images[:, None])[:, 0]

    return augment


def _color(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Brightness by up to .25, then contrast and saturation by a factor of up to .25 more or less."""
    brightness, contrast, saturation = (((2 * number - 1) * _COLOR).view(-1, 1, 1, 1, 1) for number in drawn)
    images = images + brightness
    mean = images.mean(dim=(2, 3, 4), keepdim=True)
    images = (images - mean) * (1 + contrast) + mean
    mean = images.mean(dim=2, keepdim=True)
    return (images - mean) * (1 + saturation) + mean


def _zoom(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Enlarge or shrink by a factor in [.8, 1.25], the window anywhere that holds, or lies within, the image."""
    low, high = _ZOOM
    size = 1 / (drawn[0] * (high - low) + low)  # of the window, in images
    x, y = ((1 - size).abs() * (2 * number - 1) for number in drawn[1:])
    zero = torch.zeros_like(size)
    return operations.affine(images, torch.stack([size, zero, x, zero, size, y], dim=1).view(-1, 2, 3))


_OPERATIONS: dict[str, Operation] = {
    "flip": operations.flip,
    "color": _color,
    "zoom": _zoom,
    "rotate": operations.rotate,
    "translate": operations.crop,
    "cutout": partial(operations.cutout, ratio=_CUTOUT_RATIO),
}
