"""What every data set must satisfy before it is written, whatever it was read from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.raw import RawDataset
from bacon.runtime.errors import BaconError


def check_raw(raw: RawDataset, name: str) -> None:
    """Check types, shapes and labels.

    Raises:
        BaconError: the first thing that is wrong: what was found, what is allowed.
    """
    for split, images, labels in (
        ("train", raw.train_images, raw.train_labels),
        ("test", raw.test_images, raw.test_labels),
    ):
        _check_split(images, labels, f"{name}: {split}")
    if raw.train_images.shape[1:] != raw.test_images.shape[1:]:
        raise BaconError(
            f"{name}: training images are {_shape(raw.train_images)}, test images {_shape(raw.test_images)} (C, H, "
            "W); they must have the same shape; set `size`"
        )
    _check_classes(raw, name)


def check_square(images: NDArray[np.uint8], name: str) -> None:
    """Networks take square images; raises :class:`BaconError` telling how to get them."""
    height, width = images.shape[2:]
    if height != width:
        raise BaconError(
            f"{name}: images are {height} x {width} pixels; networks need square images. Set data.{name}.size: the "
            "shorter side is resized to it, then the centre is cropped"
        )


def _check_split(images: NDArray[np.uint8], labels: NDArray[np.int64], what: str) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise BaconError(f"{what} images are {images.dtype} {images.shape}; they must be uint8 (N, 1 or 3, H, W)")
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise BaconError(f"{what} labels are {labels.dtype} {labels.shape}; they must be int64 (N,)")
    if len(images) != len(labels):
        raise BaconError(f"{what} has {len(images)} images and {len(labels)} labels; there must be one label per image")
    if images.size == 0:
        raise BaconError(f"{what} has no images")


def _check_classes(raw: RawDataset, name: str) -> None:
    classes = len(raw.class_names) or int(raw.train_labels.max()) + 1
    for split, labels in (("train", raw.train_labels), ("test", raw.test_labels)):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise BaconError(
                f"{name}: {split} labels run from {low} to {high}; with {classes} classes they must be in "
                f"0..{classes - 1}"
            )
    if classes < 2:
        raise BaconError(f"{name}: there is only one class; classification needs at least two")
    if classes > len(raw.train_labels):
        raise BaconError(
            f"{name}: {classes} classes but {len(raw.train_labels)} training images, so some class is empty"
        )
    counts = np.bincount(raw.train_labels, minlength=classes)
    empty = np.flatnonzero(counts == 0).tolist()
    if empty:
        names = ", ".join(
            f"{label} ({raw.class_names[label]})" if raw.class_names else str(label) for label in empty[:10]
        )
        raise BaconError(f"{name}: no training image of class {names}; labels must run 0..{classes - 1} without gaps")


def _shape(images: NDArray[np.uint8]) -> str:
    return str(images.shape[1:])
