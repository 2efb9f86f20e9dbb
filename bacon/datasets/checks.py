"""What every data set must satisfy before it is written, whatever it was read from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.layout import RENUMBER
from bacon.datasets.raw import RawDataset
from bacon.runtime.errors import BaconError


def check_splits(raw: RawDataset, name: str) -> None:
    """Check each split by itself: types, and one label per image; raises :class:`BaconError` with the first thing wrong."""
    for split, images, labels in (
        ("train", raw.train_images, raw.train_labels),
        ("test", raw.test_images, raw.test_labels),
    ):
        _check_split(images, labels, f"{name}: {split}")


def check_raw(raw: RawDataset, name: str) -> None:
    """Check shapes and labels of splits that passed :func:`check_splits`.

    Raises:
        BaconError: the first thing that is wrong: what was found, what is allowed, what to do.
    """
    if raw.train_images.shape[1:] != raw.test_images.shape[1:]:
        raise BaconError(
            f"{name}: training images are {_shape(raw.train_images)}, test images {_shape(raw.test_images)} (C, H, "
            f"W); they must have the same shape. Set data.{name}.size: the shorter side is resized to it, then the centre is "
            "cropped"
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
        raise BaconError(
            f"{what} has {len(images)} images and {len(labels)} labels; there must be one label per image, in the same order"
        )
    if images.size == 0:
        raise BaconError(f"{what} has no images; {_FILL[what.endswith('test')]}")


def _check_classes(raw: RawDataset, name: str) -> None:
    _check_names(raw.class_names, name)
    classes = len(raw.class_names) or int(raw.train_labels.max()) + 1
    for split, labels in (("train", raw.train_labels), ("test", raw.test_labels)):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise BaconError(
                f"{name}: {split} labels run from {low} to {high}; with {classes} classes they must be in "
                f"0..{classes - 1}. {_range_advice(raw, split, classes)}"
            )
    if classes < 2:
        only = f" ({raw.class_names[0]!r})" if raw.class_names else ""
        raise BaconError(
            f"{name}: there is only one class{only}; classification needs at least two. Add images of another class, "
            f"or sort its images into "
            "one folder, or label, per class"
        )
    if classes > len(raw.train_labels):
        raise BaconError(
            f"{name}: {classes} classes but {len(raw.train_labels)} training images, so some class is empty. {RENUMBER}"
        )
    counts = np.bincount(raw.train_labels, minlength=classes)
    empty = np.flatnonzero(counts == 0).tolist()
    if empty:
        names = ", ".join(
            f"{label} ({raw.class_names[label]})" if raw.class_names else str(label) for label in empty[:10]
        )
        if raw.class_names:
            raise BaconError(
                f"{name}: no training image of class {names}. Add some, or leave the class and its name out"
            )
        raise BaconError(
            f"{name}: no training image of class {names}; labels must run 0..{classes - 1} without gaps. {RENUMBER}"
        )


def _check_names(names: Sequence[str], name: str) -> None:
    """Refuse what no figure and no table can show: folders of archives that were packed with another encoding, for example."""
    wrong = [each for each in names if any("\ud800" <= sign <= "\udfff" for sign in each)]
    if wrong:
        listed = ", ".join(ascii(each) for each in wrong[:5])
        raise BaconError(
            f"{name}: the name of class {listed} is not text in UTF-8, so no figure or table could show it; rename the folder, "
            "or the entry of class_names"
        )


_FILL = (
    "there must be at least one of each class",
    "leave x_test and y_test out to have a share (test_fraction) of the training images held out",
)


def _range_advice(raw: RawDataset, split: str, classes: int) -> str:
    """What to do about labels beyond the classes."""
    if split == "test" and not raw.class_names:
        return (
            "Leave out test images of classes without training images (keep = y_test < "
            f"{classes}, then x_test[keep] and y_test[keep]), or add training images of them"
        )
    return (
        f"class_names has {classes} names; give one for each label from 0 to the largest"
        if raw.class_names
        else RENUMBER
    )


def _shape(images: NDArray[np.uint8]) -> str:
    return str(images.shape[1:])
