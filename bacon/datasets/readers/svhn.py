"""SVHN, cropped digits: two MATLAB 5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.layout import to_labels
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.runtime.errors import BaconError

_ZERO = 10


def read(request: ReadRequest) -> RawDataset:
    """The images, (3, 32, 32) uint8, and labels of the two official files; the label 10 means the digit 0."""
    train_images, train_labels = _read_mat(request.files["train_32x32.mat"])
    test_images, test_labels = _read_mat(request.files["test_32x32.mat"])
    return RawDataset(
        train_images=train_images, train_labels=train_labels, test_images=test_images, test_labels=test_labels
    )


def _read_mat(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = _load(path, ("X", "y"))
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != 3:
        raise BaconError(f"{path}: X is {images.dtype} {images.shape}; expected uint8 (H, W, 3, N)")
    found = to_labels(labels, f"{path}: y")
    if found.size and (found.min() < 1 or found.max() > _ZERO):
        raise BaconError(f"{path}: y runs from {found.min()} to {found.max()}; expected 1..{_ZERO}")
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), found % _ZERO


def _load(path: Path, names: tuple[str, ...]) -> list[NDArray[Any]]:
    # Imported here: it takes a while, and only this reader needs it.
    from scipy.io import loadmat

    try:
        stored = loadmat(path, variable_names=list(names))
    except OSError as error:
        raise BaconError(f"{path}: cannot be read: {error}") from None
    except Exception as error:  # scipy's parser raises whatever its damaged input leads it to
        raise BaconError(f"{path}: not a MATLAB 5 file, or a damaged one: {error}") from None
    missing = [name for name in names if name not in stored]
    if missing:
        raise BaconError(f"{path}: has no variable {', '.join(missing)}")
    return [np.asarray(stored[name]) for name in names]
