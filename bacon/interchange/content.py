"""What an export of a distilled set holds, whatever its format: the synthetic set, and metadata that explain it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bacon.artifacts.distilled_file import DistillationResult
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.whitening import Whitening
from bacon.runtime.errors import BaconError

FORMAT = "bacon-export"
VERSION = 3
# The first version knew no soft labels, the second no checksums of files and card; all else is the same.
_READ = (1, 2, VERSION)
Form = Literal["decoded", "stored"]

# Of the distilled set's attributes: what says where it came from.
_CARRIED = (
    "dataset",
    "method",
    "ipc",
    "seed",
    "fingerprint",
    "data_fingerprint",
    "settings",
    "class_names",
    "provenance",
)


@dataclass(frozen=True, kw_only=True)
class Export:
    """A distilled set on its way out, or read back.

    Attributes:
        synthetic: images (normalised or whitened), classes, soft labels and learned rates.
        metadata: JSON-able: format, version, form ("decoded" or "stored"), partition, soft_labels_kind ("probabilities",
            "logits" or ``None``), learned_rates (their number), image_bytes, label_bytes and decoder_bytes (of the stored form,
            whatever the export's), count and shape (C, H, W) of its images, mean, std, class_names, dataset, method, ipc,
            seed, iterations, settings, fingerprints, provenance, licence, evaluations, images_sha256 (of images, labels, soft
            labels and rates).
        whitening: ZCA that took the place of mean and std; ``None``: not used.
    """

    synthetic: SyntheticSet
    metadata: Mapping[str, Any]
    whitening: Whitening | None = None

    @property
    def name(self) -> str:
        """Of its file or folder: data set, method, IPC and seed."""
        return "{dataset}_{method}_ipc{ipc}_seed{seed}".format(**self.metadata)

    def raw(self) -> Tensor:
        """The images (N, C, H, W) float32 in the space of [0, 1] pixels; synthetic pixels may be outside."""
        images = self.synthetic.images
        if self.whitening is not None:
            return torch.from_numpy(self.whitening.invert(images.numpy()))
        mean, std = (torch.tensor(self.metadata[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
        return images * std + mean

    def decoded(self) -> Export:
        """Partition undone: every image is a training image of full size, with its class and soft label."""
        metadata = {**self.metadata, "form": "decoded", "partition": 1}
        return replace(self, synthetic=self.synthetic.decoded(), metadata=metadata)


def export_of(distilled: DistillationResult, *, form: Form, licence: str, evaluations: list[dict[str, Any]]) -> Export:
    """The export of a distilled set.

    Args:
        distilled: as read from its file.
        form: "decoded": training images; "stored": as they were optimised, partitioned where the method does.
        licence: of the data set it was distilled from.
        evaluations: for each evaluation network its accuracy, n, sd, interval, protocol and all settings
            (``bacon.interchange.export_cell``).
    """
    attributes = distilled.attributes
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "form": "stored",
        "partition": distilled.synthetic.partition,
        "soft_labels_kind": distilled.synthetic.soft_kind,
        "learned_rates": 0 if distilled.synthetic.rates is None else len(distilled.synthetic.rates),
        **distilled.synthetic.storage().attributes(),
        "mean": [float(value) for value in attributes["mean"]],
        "std": [float(value) for value in attributes["std"]],
        "iterations": int(attributes["iterations"]),
        **{name: _plain(attributes[name]) for name in _CARRIED},
        "licence": licence,
        "evaluations": evaluations,
    }
    export = Export(synthetic=distilled.synthetic, metadata=metadata, whitening=distilled.whitening)
    export = export.decoded() if form == "decoded" else export
    images = export.synthetic.images
    found = {"count": len(images), "shape": list(images.shape[1:]), "images_sha256": set_sha256(export.synthetic)}
    return replace(export, metadata={**export.metadata, **found})


def _plain(value: Any) -> Any:
    """A number of numpy as Python's; JSON and weights-only pickles know no others."""
    return value.item() if isinstance(value, np.generic) else value


def set_sha256(synthetic: SyntheticSet) -> str:
    """SHA-256 of images and classes, and of soft labels and learned rates where there are any."""
    return tensors_sha256(*synthetic.tensors().values())


def tensors_sha256(*tensors: Tensor) -> str:
    """SHA-256 of shape, element type and bytes (little-endian) of each tensor."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = np.ascontiguousarray(tensor.numpy())
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_metadata(path: object, metadata: Any) -> dict[str, Any]:
    """The metadata of an export; raises :class:`BaconError` when they are not, or of another version."""
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise BaconError(
            f"{path}: not a distilled set written by `bacon export` (it has no {FORMAT} metadata). For files from "
            "elsewhere use `bacon evaluate`, which asks what they contain"
        )
    if metadata.get("version") not in _READ:
        raise BaconError(
            f"{path}: an export of version {metadata.get('version')}, this program reads versions {_READ[0]} to {VERSION}; "
            "export it again"
        )
    return metadata


def synthetic_of(path: object, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> SyntheticSet:
    """The synthetic set in an export's tensors.

    Args:
        path: of the export, for messages.
        tensors: ``images``, ``labels``, and ``soft_labels`` and ``rates`` where the metadata say so.
        metadata: checked already.

    Raises:
        KeyError: a tensor is missing.
        BaconError: the tensors are not a synthetic set.
    """
    kind = metadata.get("soft_labels_kind")
    try:
        return SyntheticSet(
            images=tensors["images"],
            classes=tensors["labels"],
            soft=None if kind is None else tensors["soft_labels"],
            soft_kind=kind,
            rates=tensors["rates"] if metadata.get("learned_rates") else None,
            partition=int(metadata["partition"]),
        )
    except BaconError as error:
        raise BaconError(f"{path}: {error}; export it again") from None


def named_tensors(synthetic: SyntheticSet) -> dict[str, Tensor]:
    """The tensors of a synthetic set by their names in an export."""
    names = {"classes": "labels", "soft": "soft_labels"}
    return {names.get(name, name): tensor.contiguous() for name, tensor in synthetic.tensors().items()}


RENEW = "get the set again from where it came, or export it again"
"""What to do about a damaged one."""


class ChangedContentError(BaconError):
    """Tensors of an export are not those that its metadata speak of.

    Args:
        path: of the export.
        what: the tensors, in words.
        found: their SHA-256.
        expected: that in the metadata.
    """

    def __init__(self, path: object, what: str, *, found: str, expected: str) -> None:
        super().__init__(
            f"{path}: {what} were changed or damaged after the export: they have the sha256 {found}, and had {expected}; "
            f"{RENEW}"
        )
        self.what, self.found, self.expected = what, found, expected


def check_sha256(path: object, what: str, *, found: str, expected: str) -> None:
    """Raise :class:`ChangedContentError` unless the tensors have the checksum that the metadata say."""
    if found != expected:
        raise ChangedContentError(path, what, found=found, expected=expected)
