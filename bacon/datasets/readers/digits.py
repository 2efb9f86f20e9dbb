"""The embedded data set: the UCI handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.raw import RawDataset, ReadRequest

_LEVELS = 16
_TEST_EVERY = 5


def read(request: ReadRequest) -> RawDataset:  # noqa: ARG001 - every reader has this signature
    """All 1797 images, (1, 8, 8) with grey levels 0..16 brought to 0..255.

    The split is fixed: within each class, in stored order, every fifth image is a test image (355), the others train (1442).
    """
    # Imported here: the package takes a second to import, and only this reader needs it.
    from sklearn.datasets import load_digits

    stored = load_digits()
    images = np.rint(stored.images * (255 / _LEVELS)).astype(np.uint8)[:, None]
    labels = stored.target.astype(np.int64)
    test = test_mask(labels)
    return RawDataset(
        train_images=images[~test], train_labels=labels[~test], test_images=images[test], test_labels=labels[test]
    )


def test_mask(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) bool: whether an image is the fifth, tenth, ... of its class; ``labels`` is (N,) int64."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[_TEST_EVERY - 1 :: _TEST_EVERY]] = True
    return mask
