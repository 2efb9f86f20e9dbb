"""Pad, crop at random, mirror half of the images: the usual augmentation of small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from bacon.runtime.errors import BaconError
from bacon.transforms import operations
from bacon.transforms.augmentation import BatchAugmentation, Stream, integers

if TYPE_CHECKING:
    from bacon.settings.augmentations import CropFlip

_PARAMETERS = 3


def augmentation(settings: CropFlip) -> BatchAugmentation:
    """Crop and flip for training batches; zeros are the mean colour of normalised images."""
    pad, mode = settings.pad, "reflect" if settings.fill == "reflect" else "constant"

    def augment(images: Tensor, sizes: Sequence[int], stream: Stream) -> Tensor:
        height, width = images.shape[-2:]
        if mode == "reflect" and pad >= min(height, width):
            raise BaconError(f"crop_flip: {pad} pixels cannot be reflected from images of {height}x{width} pixels")
        top, left, mirror = stream.per_image("crop-flip", sizes, _PARAMETERS, images).unbind(dim=1)
        padded = F.pad(images, (pad,) * 4, mode=mode)[:, None]
        cropped = operations.window(padded, integers(top, 2 * pad + 1), integers(left, 2 * pad + 1), height, width)
        return (operations.flip(cropped, [mirror]) if settings.flip else cropped)[:, 0]

    return augment
