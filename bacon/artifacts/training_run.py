"""The file of one network trained on the real set: its weights and what was kept on the way.

Layout of version 1 (HDF5). Only the groups that the need asks for:

- ``weights/{name}``: parameters and buffers after training.
- ``snapshots/{name}``: (S, ...), the same at the epochs ``snapshots/epochs`` (S,), one chunk each, so that one epoch
  can be read by itself; the epochs' data set is called so because no parameter is.
- ``history/correct``: (E, ceil(N / 8)) uint8, eight images a byte, the first in the highest bit: whether each image was
  correct in its own batch of each epoch, before the batch's step.
- ``soft_labels``: (N, classes) float32 logits of the training images, not augmented.

Images are in the order of the data set's file. Every array is checksummed (fletcher32). Attributes say what the network is
and where it comes from; weights are float32, as they were trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.artifacts.distilled_file import check_fingerprint
from bacon.artifacts.distilled_layout import HDF5_DAMAGE
from bacon.artifacts.unfailing_file import UnfailingFile
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError

FORMAT = "bacon-training-run"
VERSION = 1
_EPOCHS = "epochs"
_JSON_ATTRIBUTES = ("settings", "provenance")

Weights = Mapping[str, Tensor]
"""Name of a parameter or buffer -> its values, on the CPU."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What one training run leaves.

    Attributes:
        attributes: of the file; those in JSON are values here.
        weights: after training; ``None``: not kept.
        snapshots: (epoch, weights then), ascending; read one after another, so that memory holds one.
        history: (E, ceil(N / 8)) uint8, see the module; ``None``: not kept.
        soft_labels: (N, classes) float32; ``None``: not kept.
    """

    attributes: Mapping[str, Any]
    weights: Weights | None = None
    snapshots: Iterable[tuple[int, Weights]] = ()
    snapshot_epochs: tuple[int, ...] = ()
    history: npt.NDArray[np.uint8] | None = None
    soft_labels: npt.NDArray[np.float32] | None = field(default=None)


def write_run(path: Path | str, run: TrainingRun) -> None:
    """Write a training run atomically.

    Raises:
        OSError: the disk is full or cannot be written; an existing file is left unchanged.
    """
    with atomic_path(path) as temporary, UnfailingFile(temporary) as written:
        with h5py.File(written, "w") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            for name, value in run.attributes.items():
                file.attrs[name] = json.dumps(value) if name in _JSON_ATTRIBUTES else value
            for name, tensor in (run.weights or {}).items():
                _store(file, f"weights/{name}", tensor.numpy())
            for place, (_, weights) in enumerate(run.snapshots):
                written.check()
                _add_snapshot(file, weights, place, len(run.snapshot_epochs))
            if run.snapshot_epochs:
                _store(file, f"snapshots/{_EPOCHS}", np.array(run.snapshot_epochs, dtype=np.int64))
            if run.history is not None:
                _store(file, "history/correct", run.history)
            if run.soft_labels is not None:
                _store(file, "soft_labels", run.soft_labels)
        written.check()


def _add_snapshot(file: h5py.File, weights: Weights, place: int, count: int) -> None:
    for name, tensor in weights.items():
        values = tensor.numpy()
        if place == 0:
            file.create_dataset(
                f"snapshots/{name}", shape=(count, *values.shape), dtype=values.dtype, chunks=(1, *values.shape),
                fletcher32=True,
            )  # fmt: skip
        file[f"snapshots/{name}"][place] = values


def _store(file: h5py.File, name: str, values: npt.NDArray[Any]) -> None:
    # A number (a buffer's count of batches) has no chunks, and so no checksum of its own.
    chunks = (min(len(values), 1024), *values.shape[1:]) if values.ndim else None
    file.create_dataset(name, data=values, chunks=chunks, fletcher32=chunks is not None)


@contextmanager
def open_run(path: Path | str, *, fingerprint: str | None = None) -> Iterator[h5py.File]:
    """An open file of a run; what goes wrong while it is read is a :class:`BaconError` that names it.

    Args:
        path: the file.
        fingerprint: that it must carry; ``None``: any.
    """
    try:
        with h5py.File(path) as file:
            found = (file.attrs.get("format"), file.attrs.get("version"))
            if found != (FORMAT, VERSION):
                raise BaconError(
                    f"{path}: format {found[0]} version {found[1]}, this program reads {FORMAT} version {VERSION}"
                )
            check_fingerprint(path, file.attrs.get("fingerprint"), fingerprint)
            yield file
    except HDF5_DAMAGE as error:
        raise BaconError(
            f"{path}: not a readable training run ({error}); delete it and run snakemake again, which trains it again"
        ) from None


def read_attributes(file: h5py.File) -> dict[str, Any]:
    """The attributes of an open run; those in JSON are decoded."""
    return {
        name: json.loads(value) if name in _JSON_ATTRIBUTES else _plain(value) for name, value in file.attrs.items()
    }


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def read_weights(file: h5py.File, epoch: int | None = None) -> dict[str, Tensor]:
    """Weights of an open run, at the end or after ``epoch`` epochs.

    Raises:
        BaconError: they were not kept.
    """
    epochs = snapshot_epochs(file)
    if epoch is None and "weights" in file:
        return {name: torch.from_numpy(np.asarray(values[()])) for name, values in file["weights"].items()}
    wanted = (epochs[-1] if epochs else None) if epoch is None else epoch
    if wanted not in epochs:
        there = f"after the epochs {', '.join(map(str, epochs))}" if epochs else "at the end only"
        raise BaconError(f"{file.filename}: no weights after epoch {epoch}; they were kept {there}")
    place = epochs.index(wanted)
    return {
        name: torch.from_numpy(np.asarray(values[place]))
        for name, values in file["snapshots"].items()
        if name != _EPOCHS
    }


def snapshot_epochs(file: h5py.File) -> tuple[int, ...]:
    """Epochs of the snapshots of an open run, ascending; empty where none were kept."""
    return tuple(file[f"snapshots/{_EPOCHS}"][()].tolist()) if f"snapshots/{_EPOCHS}" in file else ()


def read_history(file: h5py.File) -> Tensor:
    """(E, N) bool of an open run; raises :class:`BaconError` where it was not kept."""
    _check_kept(file, "history", "history/correct")
    packed = file["history/correct"][()]
    return torch.from_numpy(np.unpackbits(packed, axis=1, count=int(file.attrs["images"])).astype(bool))


def read_soft_labels(file: h5py.File) -> Tensor:
    """(N, classes) float32 logits of an open run; raises :class:`BaconError` where they were not kept."""
    _check_kept(file, "soft_labels", "soft_labels")
    return torch.from_numpy(file["soft_labels"][()])


def _check_kept(file: h5py.File, what: str, name: str) -> None:
    if name not in file:
        raise BaconError(f"{file.filename}: holds no {what}: the training need's `keep` does not ask for it")
