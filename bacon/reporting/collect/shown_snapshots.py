"""Some images of a distilled set at every snapshot, read for display."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np
import numpy.typing as npt

from bacon.artifacts.distilled_layout import data_set, read_classes, snapshot_iterations
from bacon.reporting.collect.distilled_files import display, open_distilled
from bacon.reporting.collect.evaluations import ExpectedDistilled


@dataclass(frozen=True, kw_only=True)
class ShownSnapshots:
    """Some images of one distilled set at every snapshot, ready for a grid.

    Attributes:
        images: iteration -> (classes x per_class, C, H, W) float32 in [0, 1], class by class.
        names: names of the classes shown.
        per_class: images of each.
        classes: classes of the data set.
        partition: a stored image holds partition^2 smaller images.
    """

    images: dict[int, npt.NDArray[np.float32]]
    names: tuple[str, ...]
    per_class: int
    classes: int
    partition: int

    @property
    def iterations(self) -> list[int]:
        """Iterations of the snapshots, ascending."""
        return sorted(self.images)


def spread(values: Sequence[int], most: int) -> list[int]:
    """All values, or ``most`` of them evenly spaced with the first and the last."""
    places = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return [values[place] for place in dict.fromkeys(places.tolist())]


def read_snapshots(expected: ExpectedDistilled, *, classes: int, per_class: int) -> ShownSnapshots:
    """The first images of some classes at every snapshot, the final images last.

    Args:
        expected: the distilled file.
        classes: at most so many, evenly spaced.
        per_class: at most so many of each.

    Raises:
        BaconError: the file is missing, damaged, incomplete or of another fingerprint.
    """
    with open_distilled(expected) as file:
        names = json.loads(file.attrs["class_names"])
        shown = spread(range(len(names)), classes)
        rows = _rows(read_classes(file), shown, per_class)
        show = display(file)
        # Each snapshot has classes of its own: an image need not keep its class.
        found = {
            iteration: show(_chosen(file[data_set("images", iteration)], _rows(own, shown, per_class)))
            for iteration in snapshot_iterations(file)
            for own in [read_classes(file, iteration)]
        }
        found[int(file.attrs["iterations"])] = show(_chosen(file["images"], rows))
        return ShownSnapshots(
            images=found,
            names=tuple(names[label] for label in shown),
            per_class=len(rows) // len(shown),
            classes=len(names),
            partition=int(file.attrs["partition"]),
        )


def _rows(labels: npt.NDArray[np.int64], shown: Sequence[int], per_class: int) -> npt.NDArray[np.int64]:
    """Places of the first images of each class, class by class."""
    return np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in shown])


def _chosen(images: h5py.Dataset, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Images at ``rows``, in any order and with repetition, which HDF5 reads ascending and once."""
    places, back = np.unique(rows, return_inverse=True)
    chosen: npt.NDArray[np.float32] = images[places][back]
    return chosen
