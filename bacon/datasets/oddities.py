"""What is odd about own data that can be used all the same: each becomes a warning in the log, the tables and the report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.channel_statistics import channel_statistics
from bacon.datasets.folder_layout import alike_names
from bacon.datasets.source_summary import named_classes
from bacon.datasets.store import ImageDataset

# Normalised with their own statistics images have mean 0 and standard deviation 1; beyond this, networks train badly.
_FAR_MEAN, _FAR_STD = 5.0, 10.0


def oddities(dataset: ImageDataset, *, own: bool, normalisation_given: bool) -> tuple[str, ...]:
    """Everything odd about a prepared data set, in words.

    Args:
        dataset: with its labels in range and its normalisation.
        own: whether it is the user's own; of registered ones, the field knows what is in them.
        normalisation_given: whether mean and standard deviation are the settings', not measured.
    """
    found = [*_small_classes(dataset), *(alike_names(dataset.class_names) if own else ())]
    if own:
        found += _shared_images(dataset)
    if normalisation_given:
        found += _far_normalisation(dataset)
    return tuple(found)


def _small_classes(dataset: ImageDataset) -> list[str]:
    classes = len(dataset.class_names)
    train = np.bincount(dataset.train_labels, minlength=classes)
    test = np.bincount(dataset.test_labels, minlength=classes)
    found = []
    if (test == 0).any():
        found.append(f"no test images of {_named(dataset, test == 0)}: accuracy says nothing about {_these(test == 0)}")
    if (train == 1).any():
        found.append(f"only one training image of {_named(dataset, train == 1)}")
    return found


def _these(which: NDArray[np.bool_]) -> str:
    return "this class" if which.sum() == 1 else "these classes"


def _named(dataset: ImageDataset, which: NDArray[np.bool_]) -> str:
    return named_classes([dataset.class_names[label] for label in np.flatnonzero(which)])


def _shared_images(dataset: ImageDataset) -> list[str]:
    """Test images that are training images too, of the same class or of another."""
    known: dict[bytes, int] = {}
    for image, label in zip(dataset.train_images, dataset.train_labels.tolist(), strict=True):
        known[_digest(image)] = label
    same = other = 0
    for image, label in zip(dataset.test_images, dataset.test_labels.tolist(), strict=True):
        label_in_train = known.get(_digest(image))
        same += label_in_train == label
        other += label_in_train not in (None, label)
    found, count = [], len(dataset.test_labels)
    if same:
        found.append(f"{same} of {count} test images are training images too, so the accuracy measured is too high")
    if other:
        found.append(f"{other} of {count} test images are training images of another class")
    return found


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _far_normalisation(dataset: ImageDataset) -> list[str]:
    mean, std = (np.array(values) for values in channel_statistics(dataset.train_images, dataset.name, constant=1.0))
    shifted = np.abs(mean - dataset.mean) / dataset.std
    scaled = std / dataset.std
    if (shifted <= _FAR_MEAN).all() and (scaled <= _FAR_STD).all() and (scaled >= 1 / _FAR_STD).all():
        return []
    return [
        f"the given mean {_list(dataset.mean)} and std {_list(dataset.std)} are far from the training images', "
        f"{_list(mean)} and "
        f"{_list(std)}; networks may train badly"
    ]


def _list(values: Sequence[float] | NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:.3g}" for value in values) + "]"
