"""The range of the values of those images in a folder that have more than 8 bits per channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from bacon.datasets.decoding import ImageFacts, UnreadableImageError, value_extremes
from bacon.datasets.deep_pixels import ValueRange, range_of, suggested_range
from bacon.datasets.raw import ReadRequest
from bacon.runtime.errors import BaconError

# The upper 8 of 16 bits hold this many or more levels of a range that goes beyond 14 bits.
_ENOUGH = 2**14


def deep_scale(files: Mapping[Path, ImageFacts], request: ReadRequest) -> ValueRange | None:
    """The values of black and white in images of more than 8 bits: as requested, or found in 16-bit images.

    Args:
        files: the images of more than 8 bits.
        request: its ``value_range`` is taken, if there is one.

    Returns:
        The range; ``None`` when there are no such images.

    Raises:
        BaconError: it is not known, or the upper 8 bits of 16, all that can be read of some files, do not hold it.
    """
    if not files:
        return None
    scale = request.value_range
    if scale is None:
        low, high = _extremes(files)
        wide = next((path for path, facts in files.items() if facts.bits > 16), None)
        if wide is not None:
            raise BaconError(
                f"{wide}: its pixels are 32-bit numbers (mode {files[wide].mode}), whose range is not known; the images hold "
                f"values from {low:g} to {high:g}. Set {request.key}.value_range to the values of black and white, such as "
                f"{suggested_range(low, high)}"
            )
        scale = range_of(int(high))
    coarse = next((path for path, facts in files.items() if facts.coarse), None)
    if coarse is not None and scale.high < _ENOUGH - 1:
        raise BaconError(
            f"{coarse}: a 16-bit image of mode {files[coarse].mode}; only its upper 8 bits can be read, too little "
            f"for values in "
            f"{scale}. Save such images as 16-bit RGB, or as 8-bit images"
        )
    return scale


def _extremes(files: Mapping[Path, ImageFacts]) -> tuple[float, float]:
    low, high = math.inf, -math.inf
    for path in files:
        try:
            smallest, largest = value_extremes(path)
        except UnreadableImageError:
            continue  # reading it reports it
        if not (math.isfinite(smallest) and math.isfinite(largest)):
            raise BaconError(f"{path}: holds NaN or infinite values; images must be finite")
        low, high = min(low, smallest), max(high, largest)
    return (low, high) if low <= high else (0.0, 0.0)
