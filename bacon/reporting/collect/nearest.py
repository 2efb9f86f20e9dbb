"""The real training image nearest to each synthetic one, by pixels: how far distillation has moved from the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bacon.datasets.store import open_store
from bacon.reporting.collect.evaluations import check_fingerprint

Images = npt.NDArray[np.float32]
# Real images are read in blocks of so many: a data set of a gigabyte passes through little memory.
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class ExpectedDataset:
    """The training images of a prepared data set.

    Attributes:
        path: the HDF5 file.
        fingerprint: that it must carry.
    """

    path: Path
    fingerprint: str

    def nearest(self, images: Images, labels: npt.NDArray[np.int64], *, partition: int) -> Images:
        """The nearest training image of the same class, in the form of the image it belongs to.

        Args:
            images: (N, C, H, W) in [0, 1], stored form.
            labels: (N,) class of each.
            partition: each image holds partition^2 parts; every part has its own nearest real image, reduced to its size.

        Returns:
            (N, C, H, W) in [0, 1]: Euclidean distance in pixel space, real images reduced by averaging.

        Raises:
            BaconError: the file is missing, damaged or of another fingerprint.
        """
        parts = split(images, partition)  # (N * parts, C, h, w)
        part_labels = np.repeat(labels, partition**2)
        best, found = np.full(len(parts), np.inf), np.zeros_like(parts)
        with open_store(self.path) as file:
            check_fingerprint(self.path, expected=self.fingerprint, found=file.attrs.get("fingerprint"))
            real_labels = file["train/labels"][()]
            for start in range(0, len(real_labels), _BLOCK):
                block = slice(start, start + _BLOCK)
                real = reduce_by(file["train/images"][block].astype(np.float32) / 255, partition)
                _improve(best, found, parts, part_labels, real, real_labels[block])
        return join(found, partition)


def _improve(
    best: npt.NDArray[np.float64],
    found: Images,
    parts: Images,
    part_labels: npt.NDArray[np.int64],
    real: Images,
    real_labels: npt.NDArray[np.int64],
) -> None:
    """Update squared distances and images with the real images of one block."""
    for label in np.unique(part_labels):
        own, others = np.flatnonzero(part_labels == label), real[real_labels == label]
        if not len(others):
            continue
        a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (parts[own], others))
        distances = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None]
        place = distances.argmin(axis=1)
        closest = distances[np.arange(len(own)), place]
        better = closest < best[own]
        best[own[better]] = closest[better]
        found[own[better]] = others[place[better]]


def split(images: Images, partition: int) -> Images:
    """(N, C, H, W) -> (N * partition^2, C, H / partition, W / partition), parts row by row."""
    count, channels, height, width = images.shape
    grid = images.reshape(count, channels, partition, height // partition, partition, width // partition)
    return grid.transpose(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // partition, width // partition)


def join(parts: Images, partition: int) -> Images:
    """The inverse of :func:`split`."""
    count, channels, height, width = parts.shape
    grid = parts.reshape(count // partition**2, partition, partition, channels, height, width)
    return grid.transpose(0, 3, 1, 4, 2, 5).reshape(-1, channels, height * partition, width * partition)


def reduce_by(images: Images, factor: int) -> Images:
    """Each factor x factor block of pixels averaged; for a factor of 2 the bilinear reduction of partitioned images."""
    count, channels, height, width = images.shape
    blocks = images.reshape(count, channels, height // factor, factor, width // factor, factor)
    reduced: Images = blocks.mean(axis=(3, 5), dtype=np.float32)
    return reduced
