"""Rows of the tables that ``bacon data`` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bacon.config.loading import data_settings
from bacon.datasets.checksums import unpacked_name
from bacon.datasets.registry import REGISTRY, Source
from bacon.datasets.store import ImageDataset, open_store, verify_dataset
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cells import DATA, DOWNLOADS
from bacon.settings.network import NetworkSettings

LIST_COLUMNS = ("name", "image", "classes", "train", "test", "network", "IPC", "state", "source")
SPLIT_COLUMNS = ("split", "images", "stored", "per class", "values")


@dataclass(frozen=True)
class _Facts:
    """(C, H, W), and numbers of classes, training and test images."""

    shape: tuple[int, ...]
    classes: int
    train: int
    test: int

    def cells(self) -> tuple[str, ...]:
        return " x ".join(map(str, self.shape)), str(self.classes), str(self.train), str(self.test)


def list_rows(plan: Plan) -> list[tuple[str, ...]]:
    """One row (``LIST_COLUMNS``) for each registered data set, each of the plan's own, and each other form of one in use."""
    names = dict.fromkeys((*REGISTRY, *plan.config.data))
    used = {
        dataset: [name for name, each in plan.prepared_sets.items() if each.dataset == dataset] for dataset in names
    }
    return [_list_row(form, plan) for name in names for form in dict.fromkeys((name, *used[name]))]


def _list_row(name: str, plan: Plan) -> tuple[str, ...]:
    prepared, dataset = plan.directory / DATA.format(dataset=name), plan.prepared_set(name).dataset
    facts, state = _registered_facts(dataset), ""
    if prepared.exists():
        try:
            facts, carried = _prepared_facts(prepared)
            state = _prepared_state(name, plan, carried)
        except BaconError:
            state = "damaged"
    cells = (*(facts.cells() if facts else ("",) * 4), *_defaults(dataset))
    return name, *cells, state or _raw_state(dataset, plan), _source(dataset, plan)


def _defaults(name: str) -> tuple[str, str]:
    """The network, and the usual IPCs."""
    info = REGISTRY.get(name)
    network = NetworkSettings.model_validate(info.settings.get("network", {}) if info is not None else {})
    return f"ConvNet-{network.depth}, {network.width}", ", ".join(map(str, info.ipc)) if info is not None else ""


def _registered_facts(name: str) -> _Facts | None:
    info = REGISTRY.get(name)
    return _Facts(info.shape, info.classes, info.train_size, info.test_size) if info is not None else None


def _prepared_facts(path: Path) -> tuple[_Facts, str]:
    """Contents of a prepared file, and its fingerprint."""
    with open_store(path) as file:
        shape, classes = file["train/images"].shape, json.loads(str(file.attrs["class_names"]))
        facts = _Facts(shape[1:], len(classes), shape[0], len(file["test/images"]))
        return facts, str(file.attrs["fingerprint"])


def _prepared_state(name: str, plan: Plan, carried: str) -> str:
    try:
        return "prepared" if carried == plan.data_fingerprint(name) else "stale"
    except BaconError:
        return "prepared, source absent"


def _raw_state(name: str, plan: Plan) -> str:
    settings = data_settings(plan.config, name)
    if settings.path is not None:
        return "present" if (plan.directory / settings.path).exists() else "absent"
    sources = REGISTRY[name].sources
    if not sources:
        return "embedded"
    folders = [plan.directory / DOWNLOADS / name]
    if settings.archives is not None:
        folders.append(plan.directory / settings.archives)
    return "downloaded" if all(_held(source, folders) for source in sources) else "absent"


def _held(source: Source, folders: Sequence[Path]) -> bool:
    """Whether an official file of the right size, or its unpacked copy, is in one of the folders."""
    unpacked = unpacked_name(source)
    for folder in folders:
        path = folder / source.file
        if path.is_file() and source.size in (None, path.stat().st_size):
            return True
        if unpacked is not None and (folder / unpacked).is_file():
            return True
    return False


def _source(name: str, plan: Plan) -> str:
    settings = data_settings(plan.config, name)
    if settings.path is not None:
        return f"{settings.format}: {settings.path}"
    hosts = dict.fromkeys(source.urls[0].rpartition("/")[0] for source in REGISTRY[name].sources)
    return ", ".join(hosts) or "scikit-learn"


def inspect_rows(path: Path) -> tuple[list[tuple[str, str]], list[tuple[str, ...]]]:
    """The attributes of a prepared data set, and one row per split; :class:`BaconError` when it is damaged."""
    dataset = verify_dataset(path)
    with open_store(path) as file:
        attributes = [(name, _readable(value)) for name, value in sorted(file.attrs.items())]
        sizes = {name: file[f"{name}/images"].id.get_storage_size() for name, _ in dataset.splits()}
    if dataset.whitening is not None:
        attributes.append(("whitening", f"ZCA, epsilon {dataset.whitening.epsilon:g}, instead of mean and std"))
    return attributes, _split_rows(dataset, sizes)


def _split_rows(dataset: ImageDataset, sizes: dict[str, int]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, (images, labels) in dataset.splits():
        counts = np.bincount(labels, minlength=len(dataset.class_names))
        low, high = counts.min(), counts.max()
        per_class = str(low) if low == high else f"{low} to {high}"
        stored = f"{sizes[name] / 1e6:.1f} of {images.nbytes / 1e6:.1f} MB"
        rows.append((name, str(images.shape), stored, per_class, f"{images.min()} to {images.max()}"))
    return rows


def _readable(value: Any) -> str:
    return ", ".join(f"{number:.6g}" for number in value) if isinstance(value, np.ndarray) else str(value)
