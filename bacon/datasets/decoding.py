"""Image files of any kind to uint8 arrays; whatever a damaged file leads a decoder to becomes one error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bacon.datasets.resize import from_pillow, resize_image

_GREY = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})
# 32-bit pixels have no known range, so there is no unique way to convert them to 8 bits.
_REFUSED = frozenset({"I", "F"})
# EXIF orientations that swap height and width.
_ORIENTATION, _SWAPPED = 0x0112, frozenset({5, 6, 7, 8})


class UnreadableImageError(Exception):
    """A file is not an image, or is damaged; the message says how."""


@dataclass(frozen=True)
class ImageFacts:
    """What the header of an image file says."""

    size: tuple[int, int]
    """(height, width) in pixels, as the image is meant to be seen."""
    grey: bool
    """Whether it has no colour channels."""


def probe(path: Path) -> ImageFacts:
    """The facts of an image file, without decoding it; raises :class:`UnreadableImageError`."""
    with _opened(path) as image:
        width, height = image.size
        swapped = image.getexif().get(_ORIENTATION) in _SWAPPED
        return ImageFacts(size=(width, height) if swapped else (height, width), grey=image.mode in _GREY)


def read_image(path: Path, *, channels: int, size: int | None) -> NDArray[np.uint8]:
    """Decode an image file.

    Args:
        path: the file.
        channels: 1 for grey, 3 for colour; the image is converted when it is the other kind.
        size: side of the square that it is brought to, as :func:`bacon.datasets.resize.resize_image` does; ``None``: as it is.

    Returns:
        (channels, H, W) uint8.

    Raises:
        UnreadableImageError: it is not an image, or is damaged.
    """
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(_eight_bit(image))
        converted = upright.convert("L" if channels == 1 else "RGB")
        return from_pillow(converted if size is None else resize_image(converted, size))


def _eight_bit(image: Image.Image) -> Image.Image:
    """The image with its orientation tag; 16-bit grey is scaled to 8 bits, because Pillow would clip it at 255."""
    if not image.mode.startswith("I;16"):
        return image
    deep = np.asarray(image).astype(np.float64)
    converted = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    converted.info = image.info
    return converted


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            if image.mode in _REFUSED:
                raise UnreadableImageError(f"its pixels are 32-bit numbers (mode {image.mode}) of no known range")
            yield image
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        raise UnreadableImageError("the file is empty" if empty else "not an image in a known format") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever their damaged input leads them to
        raise UnreadableImageError(f"damaged, or cannot be read: {error}") from None
