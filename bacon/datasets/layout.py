"""Arrays that users bring, to (N, C, H, W) uint8 and int64 labels; what could mean two things is an error."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bacon.runtime.errors import BaconError

Layout = Literal["NHW", "NHWC", "NCHW"]
Scale = Literal["0..255", "0..1"]

_CHANNELS = (1, 3)
_BLOCK = 4096


def image_layout(images: NDArray[Any], what: str) -> Layout:
    """The order of the axes of an array of images.

    Raises:
        BaconError: it is none of the three, or it could be two of them; ``what`` names the array.
    """
    shape = images.shape
    if images.ndim == 3:
        return "NHW"
    if images.ndim != 4:
        raise BaconError(f"{what} has shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W)")
    last, first = shape[3] in _CHANNELS, shape[1] in _CHANNELS
    if last and first:
        raise BaconError(
            f"{what} has shape {shape}: either axis 1 or axis 3 could be the channels; images are too small"
        )
    if not last and not first:
        raise BaconError(f"{what} has shape {shape}: neither axis 1 nor axis 3 has 1 or 3 channels")
    return "NHWC" if last else "NCHW"


def image_scale(images: NDArray[Any], what: str) -> Scale:
    """Whether values run over 0..255 or over 0..1, from the training images.

    Raises:
        BaconError: the type is not a number, a value is NaN, infinite or out of range, or both readings are possible.
    """
    if images.dtype == np.uint8:
        return "0..255"
    if images.dtype.kind not in "iuf":
        raise BaconError(f"{what} has type {images.dtype}; images are uint8, or numbers in 0..255 or 0..1")
    low, high, whole = _range(images, what)
    if low < 0 or high > 255:
        raise BaconError(
            f"{what} ({images.dtype}) has values in [{low:g}, {high:g}]; allowed are [0, 255] and [0, 1]. Undo the "
            "normalisation of the images first: it is measured on the training split, or given as mean and std"
        )
    if whole and high > 1:
        return "0..255"
    if not whole and high <= 1:
        return "0..1"
    if whole:
        raise BaconError(f"{what} ({images.dtype}) holds only 0 and 1, which may mean 0..1 or 0..255; save it as uint8")
    raise BaconError(
        f"{what} ({images.dtype}) has fractions and values up to {high:g}; save it as uint8, or divide by 255"
    )


def _range(images: NDArray[Any], what: str) -> tuple[float, float, bool]:
    low, high, whole = np.inf, -np.inf, True
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        if block.size == 0:
            continue
        if not np.isfinite(block).all():
            raise BaconError(f"{what} holds NaN or infinite values; images must be finite")
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        whole = whole and bool((block == np.rint(block)).all())
    return low, high, whole


def to_uint8(images: NDArray[Any], layout: Layout, scale: Scale, what: str) -> NDArray[np.uint8]:
    """Images as (N, C, H, W) uint8, a fresh contiguous array; raises :class:`BaconError` for values out of ``scale``."""
    with_channels = images[:, None] if layout == "NHW" else images
    ordered = with_channels.transpose(0, 3, 1, 2) if layout == "NHWC" else with_channels
    result = np.empty(ordered.shape, dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = ordered[start : start + _BLOCK]
        result[start : start + _BLOCK] = block if images.dtype == np.uint8 else _scaled(block, scale, what)
    return result


def _scaled(block: NDArray[Any], scale: Scale, what: str) -> NDArray[np.uint8]:
    if _outside(block, scale):
        raise BaconError(f"{what} has values that are not in {scale}, the range of the training images, or not finite")
    factor = 255.0 if scale == "0..1" else 1.0
    return np.asarray(np.rint(block.astype(np.float64) * factor), dtype=np.uint8)


def _outside(block: NDArray[Any], scale: Scale) -> bool:
    """Whether a value is NaN, infinite, or out of the scale's range (whole numbers, for 0..255)."""
    if block.size == 0:
        return False
    if block.dtype.kind not in "iuf" or not np.isfinite(block).all():
        return True
    limit = 1 if scale == "0..1" else 255
    outside = block.min() < 0 or block.max() > limit
    return bool(outside or (scale == "0..255" and (block != np.rint(block)).any()))


def to_labels(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Labels as (N,) int64.

    Raises:
        BaconError: they are not integers, not one per image, or negative.
    """
    if labels.dtype.kind not in "iu":
        raise BaconError(f"{what} has type {labels.dtype}; labels are integers 0, 1, ..., classes - 1")
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1:
        raise BaconError(f"{what} has shape {labels.shape}; labels are (N,): one integer per image, not one-hot")
    if flat.size and int(flat.min()) < 0:
        raise BaconError(f"{what} has the label {flat.min()}; labels are 0, 1, ..., classes - 1")
    if flat.size and int(flat.max()) > np.iinfo(np.int32).max:
        raise BaconError(f"{what} has the label {flat.max()}; labels are 0, 1, ..., classes - 1")
    return flat.astype(np.int64)
