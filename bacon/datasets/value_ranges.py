"""Which values of an array of images are black and white, whatever its type; what could mean two things is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.deep_pixels import ValueRange, range_of, suggested_range
from bacon.runtime.errors import BaconError

BYTES = ValueRange(0, 255)
FRACTIONS = ValueRange(0, 1)
# Half a level of 8 bits: what rounding errors may add to fractions without changing a level.
_HALF_LEVEL = 0.5 / 255
# Images whose brightest pixel is darker than this are rather of fewer bits.
_DARK = 32
_BLOCK = 4096


def value_range(images: NDArray[Any], what: str, key: str) -> tuple[ValueRange, tuple[str, ...]]:
    """The values of black and white, from the training images.

    Args:
        images: of any shape and type.
        what: names the array in messages.
        key: what the data set's settings are called in advice.

    Returns:
        The range, and what is odd about it, in words.

    Raises:
        BaconError: the type is not a number, a value is NaN, infinite or out of range, or two readings are possible.
    """
    if images.dtype.kind == "b":
        return FRACTIONS, ()
    if images.dtype.kind not in "iuf":
        raise BaconError(
            f"{what} has type {images.dtype}; images are numbers. Save them with .astype('uint8'), values 0 (black) "
            f"to 255 (white)"
        )
    low, high, whole = _extremes(images, what)
    found = f"{what} ({images.dtype})"
    if low >= -_HALF_LEVEL and high <= 1 + _HALF_LEVEL and not whole:
        return FRACTIONS, ()
    if not whole and low >= 0:
        raise BaconError(f"{found} has fractions and values up to {high:g}; {_advice(low, high, whole, key)}")
    if low >= 0 and high > 255 and images.dtype == np.uint16:
        scale = range_of(int(high))
        return scale, (
            f"{found} is read as values in {scale}, the fewest bits that hold its largest value, {high:g}; {key}.value_range "
            "says otherwise",
        )
    if low < 0 or high > 255:
        raise BaconError(
            f"{found} has values in [{low:g}, {high:g}]; taken as they are would be [0, 255] and [0, 1]. "
            f"{_advice(low, high, whole, key)}"
        )
    return BYTES, tuple(check_levels(images, found, key))


def _advice(low: float, high: float, whole: bool, key: str) -> str:
    """What to do about values that are neither 0..255 nor 0..1."""
    stated = f"set {key}.value_range to the values of black and white, such as {suggested_range(low, high)}"
    if low < 0 and not whole:
        return f"Undo the normalisation of the images (x * std + mean), or {stated}"
    if 1 < high <= 2:
        return f"If 1 is white, save numpy.clip(x, 0, 1); else {stated}"
    return stated[0].upper() + stated[1:]


def check_levels(images: NDArray[Any], what: str, key: str) -> list[str]:
    """Whether whole numbers in 0..255 use that range.

    Returns:
        A warning when they stay in a small part of it.

    Raises:
        BaconError: they are 0 and 1 alone, which are black and white in masks, but nearly the same of 256 levels.
    """
    high = int(max((block.max() for block in _blocks(images)), default=0))
    if high == 1:
        raise BaconError(
            f"{what} holds only 0 and 1, which may mean black and white or two of 256 levels; set {key}.value_range "
            f"to [0, 1] if "
            "1 is white, else to [0, 255]"
        )
    if 1 < high < _DARK:
        top = 2 ** high.bit_length() - 1
        return [
            f"{what} has values in 0..{high} only, read as dark pictures; if {high} is white, set {key}.value_range to "
            f"[0, {high}] (or [0, {top}])"
        ]
    return []


def check_same_range(images: NDArray[Any], scale: ValueRange, what: str) -> None:
    """Whether test images have the range that was found in the training images.

    Raises:
        BaconError: they have not, or hold NaN or infinite values.
    """
    low, high, whole = _extremes(images, what) if images.dtype.kind in "biuf" else (np.nan, np.nan, True)
    slack = _HALF_LEVEL * (scale.high - scale.low)
    fits = scale.low - slack <= low and high <= scale.high + slack and (whole or scale == FRACTIONS)
    if not fits:
        raise BaconError(
            f"{what} has values that are not in {scale}, the range of the training images, or not finite: {images.dtype} from "
            f"{low:g} to {high:g}. Bring both to one scale before you save them{_rescaling(scale, high)}"
        )
    if scale == BYTES and high == 1:
        raise BaconError(
            f"{what} holds only 0 and 1, but the training images have values up to 255. Bring both to one scale "
            f"before you save "
            "them: multiply the test images by 255 if 1 is white"
        )


def _rescaling(scale: ValueRange, high: float) -> str:
    if scale == BYTES and high <= 1 + _HALF_LEVEL:
        return ": multiply the test images by 255"
    if scale == FRACTIONS and high <= 255:
        return ": divide the test images by 255"
    return ""


def _extremes(images: NDArray[Any], what: str) -> tuple[float, float, bool]:
    """Smallest and largest value, and whether all are whole numbers; raises :class:`BaconError` for NaN and infinity."""
    low, high, whole = np.inf, -np.inf, True
    for block in _blocks(images):
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            raise BaconError(
                f"{what} holds NaN or infinite values; images must be finite. Leave those images out, with their labels: "
                "numpy.isfinite(x).all(axis=(1, 2, 3)) says which to keep"
            )
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        whole = whole and (block.dtype.kind != "f" or bool((block == np.rint(block)).all()))
    return (low, high, whole) if low <= high else (0.0, 0.0, True)


def _blocks(images: NDArray[Any]) -> list[NDArray[Any]]:
    parts = (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
    return [part for part in parts if part.size]
