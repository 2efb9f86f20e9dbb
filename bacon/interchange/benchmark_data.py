"""Distilled images as the real images of someone else's benchmark are: its data sets, their shape and normalisation.

A benchmark tests with real images that it normalises itself. Images that are normalised in another way would be trained on
without a word, and cost accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bacon.interchange.content import Export
from bacon.runtime.errors import BaconError

CIFAR10_MOMENTS = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CIFAR100_MOMENTS = ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762))
IMAGENET_MOMENTS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """A data set as a benchmark knows it.

    Attributes:
        name: what the benchmark calls it.
        classes: number of classes.
        size: height and width of its images, which have three channels.
        moments: mean and standard deviation of each channel that the benchmark normalises pixels in [0, 1] with.
    """

    name: str
    classes: int
    size: int
    moments: tuple[tuple[float, ...], tuple[float, ...]]


def benchmark_data(export: Export, known: Mapping[str, BenchmarkData], benchmark: str) -> BenchmarkData:
    """What the benchmark knows of the data set that a set is distilled from.

    Args:
        export: the set, decoded.
        known: by our names of data sets.
        benchmark: its name, for messages.

    Raises:
        BaconError: the benchmark does not have the data set, or with other images or classes; or the images hold several.
    """
    name = export.metadata["dataset"]
    if name not in known:
        raise BaconError(f"{benchmark} has no data set {name}; it evaluates sets distilled from {', '.join(known)}")
    if export.synthetic.partition > 1:
        raise BaconError(
            f"{export.name}: an image holds {export.synthetic.partition**2} in stored form, and {benchmark} trains with images "
            "as they are; leave --form stored out"
        )
    data = known[name]
    wanted, found = (3, data.size, data.size), tuple(export.synthetic.images.shape[1:])
    if wanted != found:
        raise BaconError(f"{export.name}: images of shape {found}; {benchmark} tests with {name} of shape {wanted}")
    if len(export.metadata["class_names"]) != data.classes:
        raise BaconError(
            f"{export.name}: {len(export.metadata['class_names'])} classes; {benchmark} tests with {data.classes} of {name}"
        )
    return data


def normalised_for(export: Export, data: BenchmarkData) -> Tensor:
    """The images (N, C, H, W) float32, normalised (not whitened) as the benchmark does; the same bits where we do as well."""
    ours = tuple(tuple(export.metadata[key]) for key in ("mean", "std"))
    if export.whitening is None and ours == data.moments:
        return export.synthetic.images
    mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in data.moments)
    return (export.raw() - mean) / std
