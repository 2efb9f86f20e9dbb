"""Image files of any kind to uint8 arrays; whatever a damaged file leads a decoder to becomes one error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bacon.datasets.deep_pixels import ValueRange, bit_depth, deep_values, is_coarse, to_eight_bits
from bacon.datasets.resize import from_pillow, resize_image

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
EIGHT_BITS = ValueRange(0, 255)

_GREY = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
# EXIF orientations that swap height and width.
_ORIENTATION, _SWAPPED = 0x0112, frozenset({5, 6, 7, 8})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(Exception):
    """A file is not an image, or is damaged; the message says how."""


class PixelRangeError(UnreadableImageError):
    """An image has pixels outside the range that is stated or known; the message says which."""


@dataclass(frozen=True)
class ImageFacts:
    """What the header of an image file says."""

    size: tuple[int, int]
    """(height, width) in pixels, as the image is meant to be seen."""
    grey: bool
    """Whether it has no colour channels."""
    mode: str
    """Pillow's name of the kind of its pixels."""
    bits: int
    """Per channel: 8 (or fewer), 16 or 32."""
    transparent: bool
    """Whether it has transparency."""
    animated: bool
    """Whether it has more frames than the one that is read, the first."""
    coarse: bool = False
    """16 bits of which only the upper 8 can be read."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the pixels of image files are understood.

    Attributes:
        background: red, green and blue in 0..255, on which transparent images are laid.
        scale: range of the values of images of at most 8 bits.
        deep_scale: of those of more than 8 bits; ``None``: none is expected.
    """

    background: Colour = WHITE
    scale: ValueRange = EIGHT_BITS
    deep_scale: ValueRange | None = None


PLAIN = Decoding()


def probe(path: Path) -> ImageFacts:
    """The facts of an image file, without decoding it; raises :class:`UnreadableImageError`."""
    with _opened(path) as image:
        bits = bit_depth(image)  # first: looking for the orientation may load the image
        coarse = bits > 8 and is_coarse(image)
        width, height = image.size
        # Pillow gives the size of TIFF images as they are meant to be seen.
        swapped = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _SWAPPED
        return ImageFacts(
            size=(width, height) if swapped else (height, width),
            grey=image.mode in _GREY,
            mode=image.mode,
            bits=bits,
            transparent=bool(image.has_transparency_data),
            # A photograph with a depth map or a second view (MPO) is not animated.
            animated=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
            coarse=coarse,
        )


def value_extremes(path: Path) -> tuple[float, float]:
    """The smallest and largest value of an image of more than 8 bits, transparency aside; as :func:`probe`."""
    with _opened(path) as image:
        values = deep_values(image, path)
        values = values[..., :-1] if values.ndim == 3 and values.shape[2] in (2, 4) else values
        return float(values.min()), float(values.max())


def read_image(path: Path, *, channels: int, size: int | None, decoding: Decoding = PLAIN) -> NDArray[np.uint8]:
    """Decode an image file, its first frame, turned as its EXIF orientation says.

    Args:
        path: the file.
        channels: 1 for grey, 3 for colour; the image is converted when it is the other kind.
        size: side of the square that it is brought to, as :func:`bacon.datasets.resize.resize_image` does; ``None``: as it is.
        decoding: how its pixels are understood.

    Returns:
        (channels, H, W) uint8.

    Raises:
        UnreadableImageError: it is not an image, or is damaged.
        PixelRangeError: it has values out of the range.
    """
    with _opened(path) as image:
        deep = bit_depth(image) > 8
        image.load()  # before the orientation is asked for: Pillow turns TIFF images itself as it loads them
        plain = _opaque(_deep(image, path, decoding.deep_scale) if deep else image, decoding.background)
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        plain = plain if turn is None else plain.transpose(turn)
        plain = _scaled(plain.convert("L" if channels == 1 else "RGB"), decoding.scale)
        return from_pillow(plain if size is None else resize_image(plain, size))


def _deep(image: Image.Image, path: Path, scale: ValueRange | None) -> Image.Image:
    """An image of more than 8 bits with 8."""
    if scale is None:
        raise PixelRangeError(f"its pixels have {bit_depth(image)} bits (mode {image.mode}); their range is not known")
    values = deep_values(image, path)
    transparent = image.info.get("transparency") if values.ndim == 2 else None
    try:
        if values.ndim == 3 and values.shape[2] in (2, 4):
            alpha = to_eight_bits(values[..., -1:], ValueRange(0, 65535))
            eight = np.concatenate([to_eight_bits(values[..., :-1], scale), alpha], axis=2)
        else:
            eight = to_eight_bits(values, scale)
    except ValueError as error:
        raise PixelRangeError(f"its {error}") from None
    if transparent is not None:
        eight = np.stack([eight, np.where(values == transparent, 0, 255).astype(np.uint8)], axis=2)
    return Image.fromarray(eight[..., 0] if eight.ndim == 3 and eight.shape[2] == 1 else eight)


def _opaque(image: Image.Image, background: Colour) -> Image.Image:
    """The image laid on the background, if it has transparency; a grey one stays grey on a grey background."""
    if not image.has_transparency_data:
        return image
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    layer = (image.convert(straight) if straight else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (*background, 255)), layer).convert("RGB")


def _scaled(image: Image.Image, scale: ValueRange) -> Image.Image:
    if scale == EIGHT_BITS:
        return image
    try:
        return Image.fromarray(to_eight_bits(np.asarray(image), scale))
    except ValueError as error:
        raise PixelRangeError(f"its {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if path.is_symlink() and not path.exists():
        raise UnreadableImageError(f"a link to {path.readlink()}, which does not exist")
    try:
        # An open file, not its name: of a name Pillow 13 maps uncompressed TIFF images into memory with their sides swapped.
        with path.open("rb") as file, Image.open(file) as image:
            yield image
    except (UnreadableImageError, PixelRangeError, MemoryError):
        raise
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        raise UnreadableImageError("the file is empty" if empty else "not an image in a known format") from None
    except Exception as error:  # Pillow's decoders raise whatever their damaged input leads them to
        raise UnreadableImageError(f"damaged, or cannot be read: {error}") from None
