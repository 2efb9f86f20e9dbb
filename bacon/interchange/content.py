"""What an export of a distilled set holds, whatever its format: images, labels, and metadata that explain them."""

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
from bacon.datasets.whitening import Whitening
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode

FORMAT = "bacon-export"
VERSION = 1
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
        images: (N, C, H, W) float32, normalised or whitened; partitioned as ``metadata["partition"]`` says.
        labels: (N,) int64.
        metadata: JSON-able: format, version, form ("decoded" or "stored"), partition, mean, std, class_names, dataset,
            method, ipc, seed, settings, fingerprints, provenance, licence, evaluations, images_sha256.
        whitening: ZCA that took the place of mean and std; ``None``: not used.
    """

    images: Tensor
    labels: Tensor
    metadata: Mapping[str, Any]
    whitening: Whitening | None = None

    @property
    def name(self) -> str:
        """Of its file or folder: data set, method, IPC and seed."""
        return "{dataset}_{method}_ipc{ipc}_seed{seed}".format(**self.metadata)

    def raw(self) -> Tensor:
        """The images (N, C, H, W) float32 in the space of [0, 1] pixels; synthetic pixels may lie outside."""
        if self.whitening is not None:
            return torch.from_numpy(self.whitening.invert(self.images.numpy()))
        mean, std = (torch.tensor(self.metadata[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
        return self.images * std + mean

    def decoded(self) -> Export:
        """Partition undone: every image is a training image of full size."""
        factor = int(self.metadata["partition"])
        return replace(
            self,
            images=decode(self.images, factor).contiguous(),
            labels=self.labels.repeat_interleave(factor**2),
            metadata={**self.metadata, "form": "decoded", "partition": 1},
        )


def export_of(distilled: DistillationResult, *, form: Form, licence: str, evaluations: list[dict[str, Any]]) -> Export:
    """The export of a distilled set.

    Args:
        distilled: as read from its file.
        form: "decoded": training images; "stored": as they were optimised, partitioned where the method does.
        licence: of the data set it was distilled from.
        evaluations: for each evaluation network its accuracy, n, sd and protocol (``bacon.interchange.export_cell``).
    """
    attributes = distilled.attributes
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "form": "stored",
        "partition": distilled.synthetic.partition,
        "mean": [float(value) for value in attributes["mean"]],
        "std": [float(value) for value in attributes["std"]],
        **{name: _plain(attributes[name]) for name in _CARRIED},
        "licence": licence,
        "evaluations": evaluations,
    }
    export = Export(
        images=distilled.synthetic.images,
        labels=distilled.synthetic.classes,
        metadata=metadata,
        whitening=distilled.whitening,
    )
    export = export.decoded() if form == "decoded" else export
    return replace(export, metadata={**export.metadata, "images_sha256": images_sha256(export.images, export.labels)})


def _plain(value: Any) -> Any:
    """A number of numpy as Python's; JSON and weights-only pickles know no others."""
    return value.item() if isinstance(value, np.generic) else value


def images_sha256(images: Tensor, labels: Tensor) -> str:
    """SHA-256 of shape, element type and bytes (little-endian) of images and labels."""
    digest = hashlib.sha256()
    for tensor in (images, labels):
        array = np.ascontiguousarray(tensor.numpy())
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_metadata(path: object, metadata: Any) -> dict[str, Any]:
    """The metadata of an export; raises :class:`BaconError` when they are not, or of another version."""
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise BaconError(
            f"{path}: no distilled set that `bacon export` wrote (it carries no {FORMAT} metadata). Other people's files are "
            "evaluated by `bacon evaluate`, which asks what is in them"
        )
    if metadata.get("version") != VERSION:
        raise BaconError(
            f"{path}: an export of version {metadata.get('version')}, this program reads version {VERSION}; export it again"
        )
    return metadata


def check_content(path: object, images: Tensor, labels: Tensor, expected: str) -> None:
    """Raise :class:`BaconError` unless images and labels have the checksum that the metadata say."""
    found = images_sha256(images, labels)
    if found != expected:
        raise BaconError(
            f"{path}: images and labels have the sha256 {found}, its metadata say {expected}; export it again"
        )
