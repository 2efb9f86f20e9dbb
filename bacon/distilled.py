"""A distilled set as a PyTorch data set: decoded, with its normalisation, labels and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bacon.datasets.whitening import Whitening
from bacon.distillation.artifact import read_distilled
from bacon.partition import decode


class DistilledDataset(Dataset[tuple[Tensor, int]]):
    """Training images of a distilled set.

    Attributes:
        images: (N, C, H, W) float32, decoded; normalised with ``mean`` and ``std`` unless loaded ``raw``.
        labels: (N,) int64.
        class_names: name of each label.
        mean: mean per channel of images in [0, 1], which real test images must be normalised with.
        std: standard deviation per channel.
        whitening: ZCA that takes the place of ``mean`` and ``std``, for real test images too; ``None``: not asked for.
        attributes: settings, seed, fingerprint, versions, device, time and memory of the run that made it.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, attributes: Mapping[str, Any], whitening: Whitening | None = None
    ) -> None:
        self.images, self.labels, self.attributes = images, labels, attributes
        self.whitening = whitening
        self.class_names: tuple[str, ...] = tuple(attributes["class_names"])
        self.mean: tuple[float, ...] = tuple(float(value) for value in attributes["mean"])
        self.std: tuple[float, ...] = tuple(float(value) for value in attributes["std"])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])


def load_distilled(path: Path | str, *, raw: bool = False) -> DistilledDataset:
    """Load the distilled set at ``path``.

    Args:
        path: an HDF5 file under ``results/distilled``.
        raw: undo the normalisation or whitening, so that images are in the space of [0, 1] pixels (synthetic pixels may
            lie outside).

    Returns:
        The decoded images and their labels: a partitioned image gives partition^2 training images.

    Raises:
        BaconError: the file is missing, damaged or of another format.
    """
    distilled = read_distilled(path)
    partition = int(distilled.attributes["partition"])
    images = decode(distilled.images, partition)
    if raw and distilled.whitening is not None:
        images = torch.from_numpy(distilled.whitening.invert(images.numpy()))
    elif raw:
        mean, std = (
            torch.tensor(distilled.attributes[name], dtype=images.dtype)[:, None, None] for name in ("mean", "std")
        )
        images = images * std + mean
    return DistilledDataset(
        images, distilled.labels.repeat_interleave(partition**2), distilled.attributes, distilled.whitening
    )
