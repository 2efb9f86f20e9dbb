"""Which images an attack is tried on: members, images that are not, and those that shadow networks are trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bacon.runtime.draws import words
from bacon.runtime.errors import BaconError
from bacon.training.image_set import ImageSet

Places = npt.NDArray[np.int64]
_HASHED_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Places of the images that an attack is tried on, as many of each class among members as among the others.

    Attributes:
        members: (M,) in the training images, which the set was distilled from.
        others: (M,) in the test images.
    """

    members: Places
    others: Places


def draw_targets(train_labels: Places, test_labels: Places, *, images: int, seed: int) -> Targets:
    """Draw members and others: the same for every method.

    Args:
        train_labels: (N,) classes of the training images; at most half of each class are members, as shadow networks need some.
        test_labels: (T,) classes of the test images.
        images: members in all, at the most, and as many others; as many of each class, or one more of the first ones where the
            number does not divide.
        seed: of the draw.

    Raises:
        BaconError: no class has both enough training images and test images.
    """
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    members, others = [], []
    for label in range(classes):
        real, unseen = (np.flatnonzero(labels == label) for labels in (train_labels, test_labels))
        wanted = images // classes + (label < images % classes)
        count = min(wanted, len(real) // 2, len(unseen))
        members.append(some(real, count, seed, "membership-members", lane=label))
        others.append(some(unseen, count, seed, "membership-others", lane=label))
    found = Targets(members=np.concatenate(members), others=np.concatenate(others))
    if not len(found.members):
        raise BaconError(
            "membership inference needs two training images and a test image of some class; the data set has no such class"
        )
    return found


def draw_shadow(labels: Places, kept_out: Places, *, per_class: Places, seed: int, number: int) -> Places:
    """Places of the training images of a shadow network: as many of each class as the attacked network's set has.

    Args:
        labels: (N,) classes of the training images.
        kept_out: places of the images that attacks are tried on.
        per_class: (K,) images wanted of each class; where fewer are left, all of them.
        seed: of the draw.
        number: of the shadow network.
    """
    free = np.ones(len(labels), dtype=bool)
    free[kept_out] = False
    drawn = []
    for label, count in enumerate(per_class):
        left = np.flatnonzero(free & (labels == label))
        drawn.append(some(left, min(int(count), len(left)), seed, f"membership-shadow-{number}", lane=label))
    return np.concatenate(drawn)


def some(places: Places, count: int, seed: int, purpose: str, *, lane: int) -> Places:
    """``count`` of ``places``, drawn without replacement, ascending."""
    order = np.argsort(words(seed, purpose, count=len(places), lanes=lane), kind="stable")
    return np.sort(places[order[:count]])


def verbatim(train: ImageSet, real: ImageSet) -> Places:
    """Places in ``real`` of the images that ``train`` holds bit for bit: those that were selected, not made.

    Args:
        train: decoded images of a cell, normalised.
        real: the real training images, normalised when used.
    """
    wanted = {each.tobytes() for each in train.images.float().cpu().contiguous().numpy()}
    found, start = [], 0
    for piece in real.pieces(_HASHED_AT_ONCE):
        rows = piece.to(torch.float32).cpu().contiguous().numpy()
        found += [start + place for place, row in enumerate(rows) if row.tobytes() in wanted]
        start += len(rows)
    return np.array(found, dtype=np.int64)
