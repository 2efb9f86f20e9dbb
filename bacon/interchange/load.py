"""A distilled set as a PyTorch data set: decoded, with its labels, learned rates, normalisation and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from bacon.artifacts.distilled_file import read_distilled
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.whitening import Whitening
from bacon.interchange.arrays import SUFFIXES, read_arrays
from bacon.interchange.content import Export
from bacon.interchange.folders import read_folder


class DistilledDataset(Dataset[tuple[Tensor, int]]):
    """Training images of a distilled set; an item is an image and the index of its class.

    Attributes:
        images: (N, C, H, W) float32, decoded; normalised with ``mean`` and ``std`` unless loaded ``raw``.
        labels: (N,) int64, the class of each image, whether or not the set has soft labels.
        soft_labels: (N, K) float32 over the K classes, as the method learned them; ``None``: the class is the label.
        soft_labels_kind: what they hold: "probabilities" or "logits"; ``None`` where there are none.
        rates: (T,) float32 learned learning rates, one, or one for each step of training; ``None``: there are none.
        class_names: name of each label.
        mean: mean per channel of images in [0, 1], which real test images must be normalised with.
        std: standard deviation per channel.
        whitening: ZCA that takes the place of ``mean`` and ``std``, for real test images too; ``None``: not asked for.
        attributes: settings, seed, fingerprint, versions, device, time, memory and bytes of the run that made it.
    """

    def __init__(
        self, synthetic: SyntheticSet, attributes: Mapping[str, Any], whitening: Whitening | None = None
    ) -> None:
        self.images, self.labels, self.attributes = synthetic.images, synthetic.classes, attributes
        self.soft_labels, self.soft_labels_kind = synthetic.soft, synthetic.soft_kind
        self.rates, self.whitening = synthetic.rates, whitening
        self._probabilities = synthetic.probabilities()
        self.class_names: tuple[str, ...] = tuple(attributes["class_names"])
        self.mean: tuple[float, ...] = tuple(float(value) for value in attributes["mean"])
        self.std: tuple[float, ...] = tuple(float(value) for value in attributes["std"])

    @property
    def training_targets(self) -> Tensor:
        """What a network is to be trained with: (N, K) float32 probabilities, or ``labels`` where there are no soft ones.

        ``torch.nn.functional.cross_entropy`` takes either.
        """
        return self.labels if self._probabilities is None else self._probabilities

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])


def load_distilled(path: Path | str, *, raw: bool = False) -> DistilledDataset:
    """Load the distilled set at ``path``.

    Args:
        path: an HDF5 file under ``results/distilled``, or what ``bacon export`` wrote: a ``.pt``, ``.safetensors`` or
            ``.npz`` file, or a folder of images.
        raw: undo the normalisation or whitening, so that images are in the space of [0, 1] pixels (synthetic pixels may
            be outside).

    Returns:
        The decoded images, their classes, and soft labels and learned rates where the set has them: a partitioned image
        gives partition^2 training images.

    Raises:
        BaconError: it is missing, damaged or of another format.
    """
    export = read_export(Path(path)).decoded()
    synthetic = replace(export.synthetic, images=export.raw()) if raw else export.synthetic
    return DistilledDataset(synthetic, export.metadata, export.whitening)


def read_export(path: Path) -> Export:
    """A distilled set in the form it has at ``path``, as :func:`load_distilled` finds it."""
    if path.is_dir():
        return read_folder(path)
    if path.suffix in SUFFIXES.values():
        return read_arrays(path)
    distilled = read_distilled(path)
    return Export(synthetic=distilled.synthetic, metadata=distilled.attributes, whitening=distilled.whitening)
