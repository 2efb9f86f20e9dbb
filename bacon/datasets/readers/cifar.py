"""CIFAR-10 and CIFAR-100, the archives "for Python": a tar of pickles of flattened images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacon.datasets.archives import tar_members
from bacon.datasets.layout import to_labels
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.unpickling import PickledArray, load_pickle
from bacon.runtime.errors import BaconError

_SIDE = 32
# CIFAR-100's training images are one pickle of 155 MB.
_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class _Layout:
    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: bytes
    names: bytes


_LAYOUTS = {
    "cifar10": _Layout(
        archive="cifar-10-python.tar.gz",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        meta="batches.meta",
        labels=b"labels",
        names=b"label_names",
    ),
    "cifar100": _Layout(
        archive="cifar-100-python.tar.gz",
        train=("train",),
        test="test",
        meta="meta",
        labels=b"fine_labels",
        names=b"fine_label_names",
    ),
}


def read(request: ReadRequest) -> RawDataset:
    """The images, (3, 32, 32) uint8, (fine) labels and class names of the official archive."""
    layout = _LAYOUTS[request.name]
    archive = request.files[layout.archive]
    files = (*layout.train, layout.test, layout.meta)
    members = tar_members(archive, lambda name: PurePosixPath(name).name in files, limit=_MAX_BYTES)
    batches: dict[str, Mapping[bytes, Any]] = {}
    for member, content in members:
        what = f"{archive}: {member}"
        loaded = load_pickle(content, what)
        if not isinstance(loaded, dict):
            raise BaconError(f"{what}: holds {type(loaded).__name__}, expected a dict")
        batches[PurePosixPath(member).name] = loaded
    missing = [name for name in files if name not in batches]
    if missing:
        raise BaconError(f"{archive}: has no {', '.join(missing)}")
    return _dataset(archive, layout, batches)


def _dataset(archive: Path, layout: _Layout, batches: Mapping[str, Mapping[bytes, Any]]) -> RawDataset:
    train = [_batch(f"{archive}: {name}", batches[name], layout.labels) for name in layout.train]
    test_images, test_labels = _batch(f"{archive}: {layout.test}", batches[layout.test], layout.labels)
    names = batches[layout.meta].get(layout.names)
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise BaconError(f"{archive}: {layout.meta} has no list of class names {layout.names.decode()!r}")
    return RawDataset(
        train_images=np.concatenate([images for images, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test_images=test_images,
        test_labels=test_labels,
        class_names=tuple(name.decode() for name in names),
    )


def _batch(what: str, batch: Mapping[bytes, Any], labels: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data = batch.get(b"data")
    if not isinstance(data, PickledArray) or data.array.dtype != np.uint8 or data.array.shape[1:] != (3 * _SIDE**2,):
        raise BaconError(f"{what}: has no `data` of type uint8 and shape (N, {3 * _SIDE**2})")
    images = data.array.reshape(-1, 3, _SIDE, _SIDE)
    return images, to_labels(np.asarray(batch.get(labels)), f"{what}: {labels.decode()}")
