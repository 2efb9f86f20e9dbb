"""Random images of a data set, made once in a process."""

from __future__ import annotations

from functools import cache

from bacon.datasets.store import ImageDataset
from benchmarks.cells import random_dataset


@cache
def images_of(name: str) -> ImageDataset:
    """Random images of the data set ``name``, or of a cell's, by class; TinyImageNet's are 1.4 GB of the host's memory."""
    return random_dataset(name.partition("/")[0], by_class=True)
