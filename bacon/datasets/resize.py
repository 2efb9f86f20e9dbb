"""Bring images to a square of one size: scale the shorter side, bilinearly and antialiased, then crop the centre.

Pillow's filter widens with the scale factor, which is the antialiasing, and works in fixed point, so that every machine
gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize_image(image: Image.Image, size: int) -> Image.Image:
    """A grey (L) or colour (RGB) image, scaled so that the shorter side is ``size`` pixels, centre cropped to a square."""
    width, height = image.size
    short = min(width, height)
    # The crop is given to the resampler as a box, so nothing outside it is computed.
    left, top = (width - short) / 2, (height - short) / 2
    if (width, height) == (size, size):
        return image
    box = (left, top, left + short, top + short)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def resize_images(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, C, H, W) uint8 with C of 1 or 3 -> (N, C, size, size) uint8; the same array when nothing changes."""
    count, channels, height, width = images.shape
    if (height, width) == (size, size):
        return images
    result = np.empty((count, channels, size, size), dtype=np.uint8)
    for index, image in enumerate(images):
        resized = resize_image(to_pillow(image), size)
        result[index] = from_pillow(resized)
    return result


def to_pillow(image: NDArray[np.uint8]) -> Image.Image:
    """(C, H, W) uint8 with C of 1 or 3 -> a Pillow image of mode L or RGB."""
    if image.shape[0] == 1:
        return Image.fromarray(np.ascontiguousarray(image[0]), mode=None)
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)), mode=None)


def from_pillow(image: Image.Image) -> NDArray[np.uint8]:
    """A Pillow image of mode L or RGB -> (C, H, W) uint8."""
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
