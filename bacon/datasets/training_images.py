"""The training split of a stored data set by itself, brought into class order while it is read.

Sorting images in memory takes them twice, 1.2 GB more for TinyImageNet, and a process does not give that back.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from bacon.datasets.store import ImageDataset, Split, assembled, check_fingerprint, open_store, read_array

_ROWS = 1024


def read_training(path: Path | str, *, expected_fingerprint: str | None = None) -> ImageDataset:
    """Read the training images of a data set, sorted by class; those of a class stay in their order.

    Args:
        path: a file that :func:`bacon.datasets.store.write_dataset` wrote.
        expected_fingerprint: refuse a file that has another one; ``None``: any.

    Returns:
        The data set with ascending ``train_labels``, and without test and validation images.

    Raises:
        BaconError: as :func:`bacon.datasets.store.read_dataset`, as far as what is read goes.
    """
    with open_store(path) as file:
        check_fingerprint(file, path, expected_fingerprint)
        images, labels = _by_class(file)
        arrays = {"train_images": images, "train_labels": labels, "test_images": images[:0], "test_labels": labels[:0]}
        return assembled(file, path, arrays)


def class_order(path: Path | str) -> NDArray[np.int64]:
    """(N,) place in the file of each training image as :func:`read_training` gives them: sorted by class, else as they lie.

    Raises:
        BaconError: as :func:`bacon.datasets.store.read_dataset`, as far as what is read goes.
    """
    with open_store(path) as file:
        return np.argsort(read_array(file, "train/labels", np.int64), kind="stable")


def _by_class(file: h5py.File) -> Split:
    labels = read_array(file, "train/labels", np.int64)
    order = np.argsort(labels, kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return read_array(file, "train/images", np.uint8), labels
    stored = file["train/images"]
    if stored.dtype != np.uint8 or stored.shape[:1] != labels.shape:
        raise ValueError(f"train/images is {stored.dtype} {stored.shape} with {len(labels)} labels")
    images, place = np.empty(stored.shape, dtype=np.uint8), np.argsort(order, kind="stable")
    for start in range(0, len(images), _ROWS):
        images[place[start : start + _ROWS]] = stored[start : start + _ROWS]
    return images, labels[order]
