"""FRePo's evaluation augmentation (Zhou et al., NeurIPS 2022): one operation for each batch, parameters for each image.

Where an operation looks beyond an image, it sees the nearest pixel of the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.transforms import affine_pass, operations, pass_numbers
from bacon.transforms.augmentation import BatchAugmentation, Stream, choices, integers, sent
from bacon.transforms.operations import Operation, apply_each
from bacon.transforms.pass_numbers import Columns, Numbers

if TYPE_CHECKING:
    from bacon.settings.augmentations import Frepo

_PARAMETERS = 3
_COLOR = 0.25
_ZOOM = 1.25
_TRANSLATION = 0.125
_CUTOUT = 4  # a side's share


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
    return affine_pass.edge_pass(images, numbers)


def _color(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Brightness by up to .25, then contrast and saturation by a factor whose logarithm is up to .25 more or less than 0."""
    brightness, contrast, saturation = (change.view(-1, 1, 1, 1, 1) for change in _color_changes(drawn))
    images = images + brightness
    mean = images.mean(dim=(2, 3, 4), keepdim=True)
    images = (images - mean) * contrast + mean
    mean = images.mean(dim=2, keepdim=True)
    return (images - mean) * saturation + mean


def _color_changes(drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What is added to the brightness, and the factors of contrast and saturation."""
    brightness, contrast, saturation = ((2 * number - 1) * _COLOR for number in drawn)
    return brightness, contrast.exp(), saturation.exp()


def _color_columns(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    """Contrast and saturation in either order are the same but for rounding."""
    del height, width
    brightness, contrast, saturation = _color_changes(drawn)
    return {
        "colored": torch.ones_like(brightness),
        "brightness": brightness,
        "saturation": saturation,
        "contrast": contrast,
    }


def _zoom(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Enlarge or shrink by a factor in [.8, 1.25], uniform in its logarithm.

    The window is anywhere that holds, or lies within, the image.
    """
    size, x, y = _window(drawn)
    zero = torch.zeros_like(size)
    return operations.affine(images, torch.stack([size, zero, x, zero, size, y], dim=1).view(-1, 2, 3), edge=True)


def _window(drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Size of the window in images, and where its middle is, -1 to 1 over the image."""
    size = ((1 - 2 * drawn[0]) * math.log(_ZOOM)).exp()
    x, y = ((1 - size).abs() * (2 * number - 1) for number in drawn[1:])
    return size, x, y


def _zoom_columns(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    size, x, y = _window(drawn)
    return {"xx": size, "yy": size, "dx": x * (width / 2), "dy": y * (height / 2)}


def _translate(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Shift by up to an eighth of the side each way."""
    y, x = _shifts(drawn)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return operations.affine(images, torch.stack([one, zero, x, zero, one, y], dim=1).view(-1, 2, 3), edge=True)


def _shifts(drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """How far an image is sampled from its place, down and to the right, -1 to 1 over the image."""
    y, x = ((2 * number - 1) * 2 * _TRANSLATION for number in drawn[:2])
    return y, x


def _translate_columns(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    y, x = _shifts(drawn)
    return {"dx": x * (width / 2), "dy": y * (height / 2)}


def _cutout(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Zero a square of a quarter of the side, anywhere within the image."""
    height, width = images.shape[-2:]
    edges = _cutout_columns(drawn, height, width)
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    inside = [
        (place >= edges[first][:, None]) & (place < edges[last][:, None])
        for place, first, last in ((rows, "top", "bottom"), (columns, "left", "right"))
    ]
    keep = ~(inside[0][:, :, None] & inside[1][:, None, :])  # (G, H, W)
    return images * keep[:, None, None].to(images.dtype)


def _cutout_columns(drawn: Sequence[Tensor], height: int, width: int) -> Columns:
    edges = {}
    names = ("top", "bottom"), ("left", "right")
    for (first, last), number, side in zip(names, drawn[:2], (height, width), strict=True):
        size = side // _CUTOUT
        start = integers(number, side - size + 1)
        edges[first], edges[last] = start.to(number.dtype), (start + size).to(number.dtype)
    return edges


_OPERATIONS: dict[str, Operation] = {
    "flip": operations.flip,
    "color": _color,
    "zoom": _zoom,
    "rotate": partial(operations.rotate, edge=True),
    "translate": _translate,
    "cutout": _cutout,
}

_NUMBERS: dict[str, Numbers] = {
    "flip": pass_numbers.flip,
    "color": _color_columns,
    "zoom": _zoom_columns,
    "rotate": pass_numbers.rotate,
    "translate": _translate_columns,
    "cutout": _cutout_columns,
}
