"""How teachers see batches of images in an iteration: cropped, mirrored and shifted, with one draw for each batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.draws import device_uniform
from bacon.transforms import operations
from bacon.transforms.augmentation import integers
from bacon.transforms.resized_crop import NUMBERS, crop_box, resized

if TYPE_CHECKING:
    from bacon.settings.recovery import ViewSettings

_PAD = 4
_SHARES = (0.08, 1.0)
_RATIOS = (3 / 4, 4 / 3)
_OTHERS = 3  # numbers besides those of the crop: mirroring and two shifts


def views(
    settings: ViewSettings, images: Tensor, lanes: Tensor, *, seed: int, iteration: int | Tensor, mirror: bool
) -> Tensor:
    """Batches as the teachers see them, differentiable in ``images``.

    Args:
        settings: which operations.
        images: (G, B, C, H, W) float, normalised.
        lanes: (G,) int64, the numbers of the batches.
        seed: distillation seed.
        iteration: iteration that the draws belong to; 0-d int64 on the device where they are recorded.
        mirror: whether images may be mirrored.

    Returns:
        (G * B, C, H, W).
    """
    numbers = device_uniform(
        seed, "recovery-view", count=NUMBERS + _OTHERS, device=images.device, dtype=torch.float64,
        iteration=iteration, lanes=lanes,
    )  # fmt: skip
    seen = _cropped(settings, images, numbers)
    if settings.flip and mirror:
        seen = operations.flip(seen, [numbers[:, NUMBERS]])
    return _shifted(seen, settings.shift, numbers[:, NUMBERS + 1 :]).flatten(0, 1)


def _cropped(settings: ViewSettings, images: Tensor, numbers: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    if settings.crop == "padded":
        top, left = (integers(numbers[:, place], 2 * _PAD + 1) for place in range(2))
        return operations.window(F.pad(images, (_PAD,) * 4), top, left, height, width)
    if settings.crop == "resized":
        box = crop_box(_SHARES, _RATIOS, numbers, height, width).repeat_interleave(images.shape[1], dim=0)
        return resized(images.flatten(0, 1), box).view_as(images)
    return images


def _shifted(images: Tensor, reach: tuple[int, int], numbers: Tensor) -> Tensor:
    """Rolled by whole pixels, uniform over ``reach`` with both ends, down and to the right."""
    rows, columns = (
        torch.arange(side, device=images.device) - (integers(number, reach[1] - reach[0] + 1) + reach[0])[:, None]
        for side, number in zip(images.shape[-2:], numbers.unbind(dim=1), strict=True)
    )
    return operations.at_pixels(images, rows % images.shape[-2], columns % images.shape[-1])
