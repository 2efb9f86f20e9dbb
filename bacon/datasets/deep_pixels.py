"""Pixels of more than 8 bits: what range they have, and how they become 8 bits.

Sensors of 10, 12 and 14 bits store their values in 16-bit files without saying so. Taken for 16 bits, they keep a handful of
the 256 levels. So the range is stated by the user, or follows from the largest value in all 16-bit images of a data set: the
fewest of 8, 10, 12, 14 and 16 bits that hold it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

BITS = (8, 10, 12, 14, 16)
_UPPER_BYTE = 257


@dataclass(frozen=True)
class ValueRange:
    """The values that are black (``low``) and white (``high``)."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


def bit_depth(image: Image.Image) -> int:
    """8, 16 or 32 bits per channel, from an image's header (its pixels are not decoded yet)."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return 16  # Pillow scales portable graymaps from the maximum that they state to 16 bits
    if image.mode in ("I", "F"):
        return 32
    return 16 if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) else 8


def is_coarse(image: Image.Image) -> bool:
    """Whether only the upper 8 of an image's 16 bits can be read: of kinds of colour other than red, green and blue."""
    return not _one_channel(image) and image.mode not in ("RGB", "RGBA")


def _one_channel(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def deep_values(image: Image.Image, path: Path) -> NDArray[Any]:
    """The values of an image of more than 8 bits, opened from ``path``: (H, W) or, with colour, (H, W, C) with C of 2 to 4."""
    if _one_channel(image):
        return np.asarray(image)
    upper = np.asarray(image).astype(np.uint16)
    if is_coarse(image):
        return upper * _UPPER_BYTE
    lower, of_four_bytes = _lower_bytes(path)
    if of_four_bytes:  # grey and transparency, each of an upper and a lower byte
        return lower[..., ::2] * 256 + lower[..., 1::2]
    return upper * 256 + lower


def _lower_bytes(path: Path) -> tuple[NDArray[np.uint16], bool]:
    """What Pillow drops of 16-bit colours, read in the other order of bytes; or the 4 bytes of grey with transparency."""
    with path.open("rb") as file, Image.open(file) as image:
        assert isinstance(image, ImageFile.ImageFile)
        raw_modes = [_raw_mode(tile) for tile in image.tile]
        image.tile = [_with_raw_mode(tile, _other_order(raw)) for tile, raw in zip(image.tile, raw_modes, strict=True)]
        return np.asarray(image).astype(np.uint16), any(raw.startswith("LA;16") for raw in raw_modes)


def _raw_mode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    return tile._replace(args=raw_mode if isinstance(tile.args, str) else (raw_mode, *tile.args[1:]))


def _other_order(raw_mode: str) -> str:
    if raw_mode.startswith("LA;16"):
        return "RGBA"
    colours, _, order = raw_mode.partition(";16")
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    return f"{colours};16{'B' if little else 'L'}"


def range_of(largest: int) -> ValueRange:
    """The range of 16-bit images whose largest value is ``largest``."""
    bits = next(bits for bits in BITS if largest < 2**bits)
    return ValueRange(0, 2**bits - 1)


def to_eight_bits(values: NDArray[Any], scale: ValueRange) -> NDArray[np.uint8]:
    """Values to 0..255, rounded to the nearest level; raises ``ValueError`` when one is not in the range.

    Half a level beyond the range is within it, as rounding errors of fractions are.
    """
    exact = (values.astype(np.float64) - scale.low) * (255 / (scale.high - scale.low))
    if not np.isfinite(exact).all() or exact.min(initial=0) < -0.5 or exact.max(initial=0) > 255.5:
        raise ValueError(f"values from {values.min():g} to {values.max():g} are not in {scale}")
    return np.clip(np.rint(exact), 0, 255).astype(np.uint8)


def likely_range(low: float, high: float) -> tuple[float, float]:
    """The likeliest values of black and white of images whose values run from ``low`` to ``high``; it holds both."""
    if low >= 0:
        usual = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
        top = next((top for top in usual if high <= top), float(math.ceil(high)))
        # Values far below a usual maximum have another one.
        return 0.0, top if high > top / 8 else math.ceil(high * 100) / 100
    if low >= -1 and high <= 1:
        return -1.0, 1.0
    return math.floor(low * 100) / 100, max(math.ceil(high * 100) / 100, math.floor(low * 100) / 100 + 1)


def suggested_range(low: float, high: float) -> str:
    """The likeliest range as it is written in a configuration."""
    return "[{:g}, {:g}]".format(*likely_range(low, high))
