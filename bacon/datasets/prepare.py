"""From raw files to the preprocessed data set: read, check, bring to size, split, measure, write."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bacon.datasets.channel_statistics import channel_statistics
from bacon.datasets.channels import brought_to_channels
from bacon.datasets.checks import check_raw, check_splits, check_square
from bacon.datasets.checksums import require_verified
from bacon.datasets.deep_pixels import ValueRange
from bacon.datasets.oddities import oddities
from bacon.datasets.raw import RawDataset, ReadRequest
from bacon.datasets.registry import REGISTRY, DatasetInfo
from bacon.datasets.resize import resize_images
from bacon.datasets.source import reader_module, registered
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.datasets.whitening import fit_whitening
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

if TYPE_CHECKING:
    from bacon.settings.data import DataSettings

log = get_logger(__name__)


def prepare(name: str, data: DataSettings, *, download_dir: Path, output: Path, fingerprint: str) -> None:
    """Prepare one data set and write it.

    Args:
        name: name of the data set, in the registry or of the user's own.
        data: where it comes from and how it is prepared.
        download_dir: folder of the official files of a registered data set; they are verified before they are opened.
        output: HDF5 file to write, atomically (schema in ``bacon.datasets.store``).
        fingerprint: cumulative fingerprint of the file.

    Raises:
        BaconError: the source is missing, damaged or not what it should be, or the output cannot be written.
    """
    info = registered(name) if data.format == "registry" else None
    dataset = dataclasses.replace(build(name, data, download_dir=download_dir), fingerprint=fingerprint)
    write_dataset(output, dataset, attributes=_attributes(name, data, info))
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.class_names))
    log.info(
        "wrote %s: %s training images, %d test images, %d classes with %d to %d training images each",
        output,
        dataset.train_images.shape,
        len(dataset.test_images),
        len(counts),
        counts.min(),
        counts.max(),
    )


def build(name: str, data: DataSettings, *, download_dir: Path) -> ImageDataset:
    """Read and prepare a data set in memory; its fingerprint is left empty. Arguments and errors as :func:`prepare`.

    Own files under the name of a registered data set (CIFAR-10 as an ``.npz``) take its class names and normalisation.
    """
    info = REGISTRY.get(name)
    official = data.format == "registry"
    size = registered(name).shape[1] if data.size is None and official else data.size
    request = ReadRequest(
        name=name,
        path=download_dir if data.path is None else Path(data.path),
        files=require_verified(registered(name), download_dir) if official else {},
        size=size,
        channels=data.channels,
        background=data.background,
        value_range=None if data.value_range is None else ValueRange(*data.value_range),
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        corrupt_limit=data.corrupt_limit,
    )
    raw = _reader(reader_module(name, data))(request)
    check_splits(raw, name)
    raw = brought_to_channels(raw, data.channels)
    if size is not None:
        raw = dataclasses.replace(
            raw, train_images=resize_images(raw.train_images, size), test_images=resize_images(raw.test_images, size)
        )
    check_raw(raw, name)
    if info is not None:
        _check_registered(raw, info, sizes=official)
    check_square(raw.train_images, name)
    dataset = _normalised(name, data, info, raw)
    odd = oddities(dataset, own=not official, normalisation_given=data.mean is not None)
    dataset = dataclasses.replace(dataset, warnings=(*raw.warnings, *odd))
    for warning in dataset.warnings:
        log.warning("%s: %s", name, warning)
    return dataset


def _reader(module: str) -> Callable[[ReadRequest], RawDataset]:
    # By name, so that an edit of one reader does not make the data sets of the others stale.
    read: Callable[[ReadRequest], RawDataset] = importlib.import_module(module).read
    return read


def _check_registered(raw: RawDataset, info: DatasetInfo, *, sizes: bool) -> None:
    """Whether the data can be what its name says; ``sizes``: the number of images must be the official one too."""
    classes = len(raw.class_names) or int(raw.train_labels.max()) + 1
    found, expected = [classes, raw.train_images.shape[1]], [info.classes, info.shape[0]]
    what = "classes and channels"
    if sizes:
        found += [len(raw.train_images), len(raw.test_images)]
        expected += [info.train_size, info.test_size]
        what += ", training and test images"
    if found != expected:
        hint = "" if sizes else "; give your own data another name under `data`"
        raise BaconError(f"{info.name}: found {found}, expected of {info.title} are {expected} ({what}){hint}")
    if info.class_names and raw.class_names and info.class_names != raw.class_names:
        raise BaconError(
            f"{info.name}: classes are named {raw.class_names[:5]}..., not {info.class_names[:5]}... as in {info.title}"
        )


def _normalised(name: str, data: DataSettings, info: DatasetInfo | None, raw: RawDataset) -> ImageDataset:
    classes = len(raw.class_names) or int(raw.train_labels.max()) + 1
    names = raw.class_names or (info.class_names if info is not None else ()) or tuple(map(str, range(classes)))
    whole = ImageDataset(
        name=name,
        train_images=raw.train_images,
        train_labels=raw.train_labels,
        test_images=raw.test_images,
        test_labels=raw.test_labels,
        class_names=names,
        mean=(),
        std=(),
        fingerprint="",
    )
    split = _with_validation(whole, data) if data.validation > 0 else whole
    mean, std = _normalisation(name, data, info, split)
    whitening = fit_whitening(split.train_images, data.zca_epsilon, name) if data.zca else None
    return dataclasses.replace(split, mean=mean, std=std, whitening=whitening)


def _with_validation(dataset: ImageDataset, data: DataSettings) -> ImageDataset:
    # Imported here: random numbers need torch, whose import takes longer than preparing a small data set.
    from bacon.datasets.splits import held_out, without

    held = held_out(
        dataset.train_labels,
        data.validation,
        seed=data.split_seed,
        purpose="validation split",
        name=dataset.name,
        class_names=dataset.class_names,
    )
    validation_images = dataset.train_images[held]
    return dataclasses.replace(
        dataset,
        train_images=without(dataset.train_images, held),
        train_labels=dataset.train_labels[~held],
        validation_images=validation_images,
        validation_labels=dataset.train_labels[held],
    )


def _normalisation(
    name: str, data: DataSettings, info: DatasetInfo | None, dataset: ImageDataset
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std: the settings', else the registry's, else measured on the training images."""
    channels = dataset.train_images.shape[1]
    if data.mean is not None and data.std is not None:
        if len(data.mean) != channels or len(data.std) != channels:
            raise BaconError(
                f"data.{name}: mean has {len(data.mean)} and std {len(data.std)} values; the images have {channels} channels. "
                f"Give {channels} of each, or neither: they are measured then"
            )
        return data.mean, data.std
    if info is not None and info.mean is not None and info.std is not None:
        return info.mean, info.std
    return channel_statistics(dataset.train_images, name)


def _attributes(name: str, data: DataSettings, info: DatasetInfo | None) -> dict[str, str]:
    """Where the data came from, for people who meet the file later."""
    if info is None:
        return {"source": f"{data.format}: {data.path}", "title": data.title or name}
    files = ", ".join(f"{source.file} ({':'.join(source.checksum)})" for source in info.sources)
    return {
        "source": files or "scikit-learn, sklearn.datasets.load_digits",
        "title": data.title or info.title,
        "licence": info.licence,
        "citation": info.citation,
    }
