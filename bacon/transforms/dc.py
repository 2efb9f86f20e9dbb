"""DC's own evaluation augmentation (Zhao et al., ICLR 2021): for each image one operation of crop, scale, rotate and noise.

Rotation samples bilinearly, where the published code uses cubic splines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.draws import device_normal
from bacon.transforms import affine_pass, operations
from bacon.transforms.augmentation import BatchAugmentation, Stream, choices, integers, sent
from bacon.transforms.operations import Operation, apply_each, select_each
from bacon.transforms.sampling import reach_of_rotations

if TYPE_CHECKING:
    from bacon.settings.augmentations import Dc

_PARAMETERS = 2
_CROP_PIXELS = 4
_SCALE = 0.2
_DEGREES = 45
_NOISE = 0.001


def augmentation(settings: Dc) -> BatchAugmentation:
    """DC's list for training batches."""
    names = settings.strategy.split("_")

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        drawn = stream.per_batch("dc-operation", sizes, count=max(sizes))
        chosen = choices(names, np.concatenate([row[:size] for row, size in zip(drawn, sizes, strict=True)]))
        parameters = stream.per_image("dc-parameters", sizes, _PARAMETERS, images)
        means = [batch.mean(dim=(0, 2, 3)).expand(len(batch), -1) for batch in images.split(list(sizes))]
        parameters = torch.cat(
            [parameters, torch.cat(means)], dim=1
        )  # the mean of the batch is what crops are filled with
        augment_each = select_each if affine_pass.is_preferred(images) else apply_each
        augmented = augment_each(_OPERATIONS, chosen, parameters, images[:, None])[:, 0]
        return _noisy(augmented, chosen == "noise", sizes, stream) if "noise" in names else augmented

    return augment


def _noisy(images: Tensor, noisy: npt.NDArray[np.bool_], sizes: Sequence[int], stream: Stream) -> Tensor:
    """Images plus N(0, .001^2) where ``noisy`` (N,) says so."""
    lanes = torch.arange(stream.first_iteration, stream.first_iteration + len(sizes), device=images.device)
    pixels = images[0].numel()
    drawn = device_normal(
        stream.seed,
        f"{stream.purpose}-dc-noise",
        count=max(sizes) * pixels,
        lanes=lanes,
        device=images.device,
        dtype=images.dtype,
    ).view(len(sizes), -1, *images.shape[1:])
    noise = torch.cat([drawn[batch, :size] for batch, size in enumerate(sizes)])
    where = sent(torch.from_numpy(noisy), images.device)[:, None, None, None]
    return torch.where(where, images + _NOISE * noise, images)


def _unchanged(images: Tensor, _: Sequence[Tensor]) -> Tensor:
    return images


def _crop(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Shift by 0..7 pixels of the 4 added on each side, which hold the channel means of the batch."""
    fill = torch.stack(list(drawn[_PARAMETERS:]), dim=1)[:, None, :, None, None]  # (G, 1, C, 1, 1)
    padded = F.pad(images - fill, (_CROP_PIXELS,) * 4) + fill
    top, left = (integers(number, 2 * _CROP_PIXELS) for number in drawn[:2])
    return operations.window(padded, top, left, *images.shape[-2:])


def _scale(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Each side times U(.8, 1.2), to the nearest pixel, centred; zeros around a smaller image."""
    height, width = images.shape[-2:]
    scaled = [
        ((1 - _SCALE + 2 * _SCALE * number) * side).long()
        for number, side in zip(drawn[:2], (height, width), strict=True)
    ]
    canvas = torch.maximum(*scaled).clamp(min=max(height, width))
    rows, columns = (
        torch.arange(side, device=images.device) + ((canvas - side) // 2 - (canvas - size) // 2)[:, None]
        for side, size in zip((height, width), scaled, strict=True)
    )
    inside = ((rows >= 0) & (rows < scaled[0][:, None]))[:, :, None] & (
        (columns >= 0) & (columns < scaled[1][:, None])
    )[:, None, :]
    sources = (
        (place * side // size[:, None]).clamp(0, side - 1)
        for place, side, size in zip((rows, columns), (height, width), scaled, strict=True)
    )
    return operations.at_pixels(images, *sources) * inside[:, None, None].to(images.dtype)


def _rotate(images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
    """Rotate about the centre by a whole number of degrees in [-45, 45); the mean of the batch moves in."""
    angle = (integers(drawn[0], 2 * _DEGREES) - _DEGREES).to(images.dtype) * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    fill = torch.stack(list(drawn[_PARAMETERS:]), dim=1).mean(dim=1).view(-1, 1, 1, 1, 1)
    reach = reach_of_rotations(_DEGREES, *images.shape[-2:])
    return operations.affine(images - fill, theta, reach=reach) + fill


_OPERATIONS: dict[str, Operation] = {"crop": _crop, "scale": _scale, "rotate": _rotate, "noise": _unchanged}
