"""Grey and colour images brought to one number of channels."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.raw import RawDataset
from bacon.datasets.resize import from_pillow, to_pillow


def brought_to_channels(raw: RawDataset, channels: int | None) -> RawDataset:
    """The data set with training and test images of as many channels; ``None``: colour when either split has colour."""
    found = {raw.train_images.shape[1], raw.test_images.shape[1]}
    wanted = channels or max(found)
    if found == {wanted}:
        return raw
    mixed = (f"grey and colour images are mixed; all are read as {'grey' if wanted == 1 else 'colour'}",)
    return dataclasses.replace(
        raw,
        train_images=with_channels(raw.train_images, wanted),
        test_images=with_channels(raw.test_images, wanted),
        warnings=raw.warnings + (mixed if len(found) > 1 else ()),
    )


def with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """(N, 1 or 3, H, W) uint8 -> (N, channels, H, W): grey is repeated, colour is weighed as Pillow does (ITU-R 601-2)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=1)
    result = np.empty((len(images), 1, *images.shape[2:]), dtype=np.uint8)
    for index, image in enumerate(images):
        result[index] = from_pillow(to_pillow(image).convert("L"))
    return result
