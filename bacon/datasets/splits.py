"""Stratified splits, drawn from counter-based random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.shares import held_out_count
from bacon.runtime.draws import words
from bacon.runtime.errors import BaconError

_BLOCK = 4096
_WITHOUT_SPLIT = {
    "test split": "bring a test set of your own (a folder 'test' beside 'train', or x_test and y_test)",
    "validation split": "set validation to 0",
}


def held_out(
    labels: NDArray[np.int64], fraction: float, *, seed: int, purpose: str, name: str, class_names: Sequence[str] = ()
) -> NDArray[np.bool_]:
    """Choose the same share of every class.

    Args:
        labels: (N,) int64.
        fraction: share of each class to hold out, in (0, 1); at least one image of a class and never all of them.
        seed: seed of the draw.
        purpose: name of the stream, so that different splits are independent.
        name: the data set, for the message.
        class_names: names in label order, for the message; empty: the labels are named.

    Returns:
        (N,) bool, true where an image is held out.

    Raises:
        BaconError: a class has a single image, which cannot be on both sides.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            named = repr(class_names[label]) if class_names else label
            raise BaconError(
                f"{name}: class {named} has 1 image; at least 2 are needed to hold out a share of them ({purpose}). "
                f"Add images of "
                "the class, leave the class out, or " + _WITHOUT_SPLIT.get(purpose, "hold out none")
            )
        count = held_out_count(len(members), fraction)
        # Two words per image make ties, which would be broken by position, practically impossible.
        drawn = words(seed, purpose, count=2 * len(members), lanes=int(label)).reshape(-1, 2)
        order = np.lexsort((drawn[:, 1], drawn[:, 0]))
        chosen[members[order[:count]]] = True
    return chosen


def without(images: NDArray[np.uint8], held: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The images that are not held out, in their order.

    They are moved together in the memory of ``images``, which is lost, where that may be written: a large data set is then
    not in memory twice.

    Args:
        images: (N, C, H, W) uint8.
        held: (N,) bool.
    """
    kept = np.flatnonzero(~held)
    if not images.flags.writeable:
        return images[kept]
    for start in range(0, len(kept), _BLOCK):
        part = kept[start : start + _BLOCK]
        images[start : start + len(part)] = images[part]
    return images[: len(kept)]
