"""The file of a distilled set: images, labels, snapshots, history and where they came from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

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
    with atomic_path(path) as temporary, _Unfailing(temporary) as written:
        with h5py.File(written, "w") as file:
            _write(file, distilled, written)
        written.check()


def _write(file: h5py.File, distilled: Distilled, written: _Unfailing) -> None:
    """The content of a file, one array after the other; ends with the first one that the disk refuses."""
    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
    for name, value in distilled.attributes.items():
        file.attrs[name] = json.dumps(value) if name in _JSON_ATTRIBUTES else value
    _store(file, "images", distilled.images.numpy())
    _store(file, "labels", distilled.labels.numpy())
    if distilled.whitening is not None:
        write_whitening(file, distilled.whitening)
    for iteration, images in distilled.snapshots.items():
        written.check()
        _store(file, f"snapshots/{iteration}", images.numpy())
    if distilled.history:
        _store(file, "history/iteration", np.arange(len(next(iter(distilled.history.values()))), dtype=np.int64))
    for name, values in distilled.history.items():
        _store(file, f"history/{name}", values)


class _Unfailing(io.RawIOBase):
    """A new file for HDF5, which crashes the process some time after a write that failed: no write of this one fails.

    What the disk has refused is kept in memory from then on, so that the library reads back what it wrote and can close;
    :meth:`check` then raises the disk's error.

    Args:
        path: the file; what is in it is lost.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the error of the first write that failed."""
        if self._error is not None:
            raise self._error

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def write(self, data: Any) -> int:
        content, done = memoryview(data).cast("B"), 0
        while done < len(content):  # a nearly full disk takes a part
            try:
                done += self._file.write(content[done:])
            except OSError as error:
                self._go_on_in_memory(error)
        return done

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._go_on_in_memory(error)
            return self._file.truncate(size)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _go_on_in_memory(self, error: OSError) -> None:
        if self._error is not None:
            raise error  # memory refuses nothing
        self._error, place = error, self._file.tell()
        self._file.seek(0)
        memory = io.BytesIO(self._file.read())
        memory.seek(place)
        self._file.close()
        self._file = memory


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
