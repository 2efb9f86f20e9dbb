"""Arrays that users bring, to (N, C, H, W) uint8 and int64 labels; what could mean two things is an error."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.deep_pixels import ValueRange, to_eight_bits
from bacon.runtime.errors import BaconError

Layout = Literal["NHW", "NHWC", "NCHW"]

_CHANNELS = (1, 3)
_BLOCK = 4096
_EIGHT_BITS = ValueRange(0, 255)


def image_layout(images: NDArray[Any], what: str) -> Layout:
    """The order of the axes of an array of images.

    Raises:
        BaconError: it is none of the three, or it could be two of them; ``what`` names the array.
    """
    shape = images.shape
    if images.ndim == 3:
        return "NHW"
    if images.ndim != 4:
        raise BaconError(
            f"{what} has shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W). Reshape it to one of "
            f"those, with the "
            "axes in the order in which they were flattened or nested"
        )
    last, first = shape[3] in _CHANNELS, shape[1] in _CHANNELS
    if last and first:
        raise BaconError(
            f"{what} has shape {shape}: either axis 1 or axis 3 could be the channels; images are too small. Enlarge "
            f"them to at "
            "least 4 pixels a side"
        )
    if not last and not first:
        raise BaconError(
            f"{what} has shape {shape}: neither axis 1 nor axis 3 has 1 or 3 channels. {_channel_advice(shape)}"
        )
    return "NHWC" if last else "NCHW"


def _channel_advice(shape: tuple[int, ...]) -> str:
    """What to do about another number of channels, or another order of axes."""
    if shape[2] in _CHANNELS:
        return "If axis 3 counts the images, save numpy.transpose(x, (3, 0, 1, 2))"
    axis = 3 if shape[3] < shape[1] else 1
    colours, alpha = ("x[..., :-1]", "x[..., -1:]") if axis == 3 else ("x[:, :-1]", "x[:, -1:]")
    if shape[axis] in (2, 4):
        return (
            f"If the last channel is transparency (0..255), lay the images on white before you save them: a = {alpha} "
            f"/ 255, then "
            f"numpy.rint({colours} * a + 255 * (1 - a)).astype('uint8'); else keep 1 or 3 channels"
        )
    return "Keep 1 or 3 channels: grey, or red, green and blue"


def to_uint8(images: NDArray[Any], layout: Layout, scale: ValueRange, what: str) -> NDArray[np.uint8]:
    """Images as (N, C, H, W) uint8, a fresh contiguous array; raises :class:`BaconError` for values out of ``scale``."""
    with_channels = images[:, None] if layout == "NHW" else images
    ordered = with_channels.transpose(0, 3, 1, 2) if layout == "NHWC" else with_channels
    result = np.empty(ordered.shape, dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = ordered[start : start + _BLOCK]
        plain = images.dtype == np.uint8 and scale == _EIGHT_BITS
        result[start : start + _BLOCK] = block if plain else _scaled(block, scale, what)
    return result


def _scaled(block: NDArray[Any], scale: ValueRange, what: str) -> NDArray[np.uint8]:
    try:
        return to_eight_bits(block, scale)
    except ValueError as error:
        raise BaconError(f"{what}: {error}, or not finite; change value_range, or the values") from None


def to_labels(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Labels as (N,) int64.

    Raises:
        BaconError: they are not integers, not one per image, or negative.
    """
    if labels.dtype.kind not in "iu":
        raise BaconError(
            f"{what} has type {labels.dtype}; labels are integers 0, 1, ..., classes - 1. {_type_advice(labels)}"
        )
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1:
        raise BaconError(
            f"{what} has shape {labels.shape}; labels are (N,): one integer per image, not one-hot. If each row has a "
            f"single 1, "
            "save y.argmax(axis=1)"
        )
    if flat.size and (int(flat.min()) < 0 or int(flat.max()) > np.iinfo(np.int32).max):
        wrong = flat.min() if int(flat.min()) < 0 else flat.max()
        raise BaconError(f"{what} has the label {wrong}; labels are 0, 1, ..., classes - 1. {RENUMBER}")
    return flat.astype(np.int64)


RENUMBER = (
    "Renumber both arrays: names = numpy.unique(y_train), then y_train = numpy.searchsorted(names, y_train) and y_test = "
    "numpy.searchsorted(names, y_test)"
)


def _type_advice(labels: NDArray[Any]) -> str:
    if labels.dtype.kind in "USO":
        return f"{RENUMBER}; names can be saved as class_names"
    if labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all()) and labels.ndim == 1:
        return "Save them with .astype('int64')"
    if labels.dtype.kind == "b" and labels.ndim == 1:
        return "Save them with .astype('int64'): False is 0, True is 1"
    if labels.ndim == 1:
        return "Give each image one of those numbers, and leave out images without a class"
    return "If each row holds a probability or a 1 per class, save y.argmax(axis=1)"
