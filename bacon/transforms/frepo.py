"""FRePo's evaluation augmentation (Zhou et al., NeurIPS 2022): one operation for each batch, parameters for each image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.transforms import affine_pass, operations, pass_numbers
from bacon.transforms.augmentation import BatchAugmentation, Stream, choices, sent
from bacon.transforms.operations import Operation, apply_each
from bacon.transforms.pass_numbers import Columns, Numbers
from bacon.transforms.sampling import reach_of_rotations

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
        return _augment_each(np.repeat(chosen, sizes), parameters, images[:, None])[:, 0]

    return augment


def _augment_each(names: npt.NDArray[np.object_], parameters: Tensor, images: Tensor) -> Tensor:
    """Groups (G, n, C, H, W), each by its operation: in one pass on a GPU."""
    if not affine_pass.is_preferred(images):
        return apply_each(_OPERATIONS, names, parameters, images)
    listed, (height, width) = tuple(_NUMBERS), images.shape[-2:]
    codes = np.array([listed.index(name) for name in names], dtype=np.int64)
    operation = sent(torch.from_numpy(codes), images.device)
    numbers = pass_numbers.pass_numbers(_NUMBERS, listed, operation, parameters, height=height, width=width)
    reach = reach_of_rotations(operations.ROTATE_DEGREES, height, width)
    return affine_pass.affine_pass(images, numbers, reach=reach)


def _color(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Brightness by up to .25, then contrast and saturation by a factor of up to .25 more or less."""
    brightness, contrast, saturation = (change.view(-1, 1, 1, 1, 1) for change in _color_changes(drawn))
    images = images + brightness
    mean = images.mean(dim=(2, 3, 4), keepdim=True)
    images = (images - mean) * (1 + contrast) + mean
    mean = images.mean(dim=2, keepdim=True)
    return (images - mean) * (1 + saturation) + mean


def _color_changes(drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Changes of brightness, contrast and saturation."""
    brightness, contrast, saturation = ((2 * number - 1) * _COLOR for number in drawn)
    return brightness, contrast, saturation


def _color_columns(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """Contrast and saturation in either order are the same but for rounding."""
    del height, width
    brightness, contrast, saturation = _color_changes(drawn)
    return {
        "colored": torch.ones_like(brightness),
        "brightness": brightness,
        "saturation": 1 + saturation,
        "contrast": 1 + contrast,
    }


def _zoom(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Enlarge or shrink by a factor in [.8, 1.25], the window anywhere that holds, or lies within, the image."""
    size, x, y = _window(drawn)
    zero = torch.zeros_like(size)
    return operations.affine(images, torch.stack([size, zero, x, zero, size, y], dim=1).view(-1, 2, 3))


def _window(drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Size of the window in images, and where its middle is, -1 to 1 over the image."""
    low, high = _ZOOM
    size = 1 / (drawn[0] * (high - low) + low)
    x, y = ((1 - size).abs() * (2 * number - 1) for number in drawn[1:])
    return size, x, y


def _zoom_columns(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    size, x, y = _window(drawn)
    return {"xx": size, "yy": size, "dx": x * (width / 2), "dy": y * (height / 2)}


_OPERATIONS: dict[str, Operation] = {
    "flip": operations.flip,
    "color": _color,
    "zoom": _zoom,
    "rotate": operations.rotate,
    "translate": operations.crop,
    "cutout": partial(operations.cutout, ratio=_CUTOUT_RATIO),
}

_NUMBERS: dict[str, Numbers] = {
    "flip": pass_numbers.flip,
    "color": _color_columns,
    "zoom": _zoom_columns,
    "rotate": pass_numbers.rotate,
    "translate": pass_numbers.crop,
    "cutout": partial(pass_numbers.cutout, ratio=_CUTOUT_RATIO),
}
