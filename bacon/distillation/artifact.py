"""The file of a distilled set: images, labels, snapshots, history and where they came from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.datasets.store import read_whitening, write_whitening
from bacon.datasets.whitening import Whitening
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError

FORMAT = "bacon-distilled"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """A distilled set in its stored form.

    Attributes:
        images: (M, C, H, W) float32, normalised, partitioned as the attribute ``partition`` says; class order.
        labels: (M,) int64.
        snapshots: iteration -> images at that iteration, the last one included; empty for coresets.
        history: term -> (T,) float32, mean over classes per iteration; empty for coresets.
        whitening: ZCA of the data set, which the images are in the space of; ``None``: mean and std alone.
        attributes: names and values of the file's attributes; JSON attributes are decoded.
    """

    images: Tensor
    labels: Tensor
    snapshots: Mapping[int, Tensor] = field(default_factory=dict)
    history: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    whitening: Whitening | None = None


_JSON_ATTRIBUTES = ("settings", "class_names", "provenance")


def write_distilled(path: Path | str, distilled: Distilled) -> None:
    """Write a distilled set atomically; every data set in the file is checksummed (fletcher32).

    Raises:
        OSError: the disk is full or cannot be written; a file that was there stays as it was.
    """
    # Made in memory: after a failed write HDF5 cannot close its file, and crashes the process later.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for name, value in distilled.attributes.items():
            file.attrs[name] = json.dumps(value) if name in _JSON_ATTRIBUTES else value
        _store(file, "images", distilled.images.numpy())
        _store(file, "labels", distilled.labels.numpy())
        if distilled.whitening is not None:
            write_whitening(file, distilled.whitening)
        for iteration, images in distilled.snapshots.items():
            _store(file, f"snapshots/{iteration}", images.numpy())
        if distilled.history:
            _store(file, "history/iteration", np.arange(len(next(iter(distilled.history.values()))), dtype=np.int64))
        for name, values in distilled.history.items():
            _store(file, f"history/{name}", values)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _store(file: h5py.File, name: str, values: npt.NDArray[Any]) -> None:
    # Chunks hold whole images; an empty array cannot be chunked.
    chunks = (min(len(values), 256), *values.shape[1:]) if values.size else None
    file.create_dataset(
        name, data=values, chunks=chunks, fletcher32=bool(chunks), compression="gzip" if chunks else None
    )


def read_distilled(path: Path | str, *, expected_fingerprint: str | None = None) -> Distilled:
    """Read a distilled set.

    Raises:
        BaconError: the file is missing, damaged, not of this format and version, or carries another fingerprint.
    """
    try:
        with h5py.File(path) as file:
            _check_format(path, file)
            attributes = {name: _attribute(name, value) for name, value in file.attrs.items()}
            check_fingerprint(path, attributes.get("fingerprint"), expected_fingerprint)
            snapshots = file.get("snapshots", {})
            history = file.get("history", {})
            return Distilled(
                images=torch.from_numpy(file["images"][()]),
                labels=torch.from_numpy(file["labels"][()]),
                snapshots={int(key): torch.from_numpy(snapshots[key][()]) for key in sorted(snapshots, key=int)},
                history={key: history[key][()] for key in history if key != "iteration"},
                attributes=attributes,
                whitening=read_whitening(file),
            )
    except (OSError, KeyError, ValueError) as error:
        raise BaconError(f"{path}: not a readable distilled set ({error}); delete it and run snakemake again") from None


def _check_format(path: Path | str, file: h5py.File) -> None:
    found = (file.attrs.get("format"), file.attrs.get("version"))
    if found != (FORMAT, VERSION):
        raise BaconError(f"{path}: format {found[0]} version {found[1]}, this program reads {FORMAT} version {VERSION}")


def check_fingerprint(path: Path | str, found: str | None, expected: str | None) -> None:
    """Raise :class:`BaconError` when an artifact is not the one that the configuration asks for."""
    if expected is not None and found != expected:
        raise BaconError(
            f"{path}: carries fingerprint {found}, the configuration asks for {expected}: it was made from other settings, "
            "data or code; run snakemake again, which remakes it"
        )


def _attribute(name: str, value: Any) -> Any:
    return json.loads(value) if name in _JSON_ATTRIBUTES else value
