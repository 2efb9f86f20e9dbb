"""A data set of four classes and a distilled set of it, and what a downstream task is given of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bacon.artifacts.distilled_file import DistillationResult, write_distilled
from bacon.artifacts.downstream_results import TaskCache
from bacon.artifacts.kept_networks import KeptNetworks
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.downstream.algorithm import TaskContext
from bacon.downstream.cell_networks import CellNetworks
from bacon.downstream.run_task import networks_of
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.settings.network import NetworkSettings
from bacon.training.image_set import ImageSet
from tests.toy_images import CPU, MEAN, STD, settings

CLASSES = 4
NETWORK = NetworkSettings(width=8, depth=1)
DATA = "d" * 32


def quadrants(count: int, seed: int = 0, contrast: int = 110) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 1, 8, 8) uint8 whose class is the quadrant that is brighter; without contrast nobody can tell."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype(np.int64)
    images = random.integers(0, 90, (count, 1, 8, 8))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += contrast
    return images.astype(np.uint8), labels


def write_data(path: Path, *, train=40, test=32, validation=0, contrast=110) -> None:
    """The data set in a file."""
    (images, labels), (test_images, test_labels), (held, held_labels) = (
        quadrants(count, seed, contrast) for seed, count in enumerate((train, test, validation))
    )
    split = {"validation_images": held, "validation_labels": held_labels} if validation else {}
    made = ImageDataset(
        name="toy", train_images=images, train_labels=labels, test_images=test_images, test_labels=test_labels,
        class_names=tuple("abcd"), mean=MEAN, std=STD, fingerprint=DATA, **split,
    )  # fmt: skip
    write_dataset(path, made)


def selection(places=range(8), contrast=110) -> SyntheticSet:
    """Real training images as a distilled set, in class order."""
    images, labels = quadrants(40, contrast=contrast)
    chosen = sorted(places, key=lambda place: labels[place])
    whole = ImageSet.of_uint8(images, labels, mean=MEAN, std=STD, device=CPU)
    return SyntheticSet(images=whole.at(torch.tensor(chosen)), classes=whole.labels[chosen])


def context(folder: Path, *, synthetic: SyntheticSet | None = None, inputs=None, data=None, **changes) -> TaskContext:
    """What a task is given of a cell whose set is ``synthetic``, or of the full data set."""
    path, distilled = folder / "toy.h5", folder / "distilled.h5"
    if not path.exists():
        write_data(path, **(data or {}))
    if synthetic is not None:
        about = {"fingerprint": "distilled-1", "iterations": 0, "class_names": list("abcd")}
        write_distilled(distilled, DistillationResult(synthetic=synthetic, snapshots={}, attributes=about))
    job = EvaluationJob(
        dataset="toy", method="dm" if synthetic else "full", ipc=2 if synthetic else None, seed=1 if synthetic else None,
        network_name="convnet", network=NETWORK, protocol="paper", cache=folder / "cache", device=CPU, at_once=1,
        evaluation=settings(**({"epochs": 30, "lr_net": 0.05, "augmentations": ("none",)} | changes)),
        fingerprints=EvaluationFingerprints(
            rule="r", record="e", data=DATA, distilled="distilled-1" if synthetic else None
        ),
    )  # fmt: skip
    networks, stored = networks_of(job, None if synthetic is None else distilled, path)
    return TaskContext(
        where="toy",
        cell_networks=CellNetworks(networks, KeptNetworks(folder=folder / "kept", fingerprint="e")),
        synthetic=stored,
        inputs=inputs or {},
        pieces=TaskCache(folder=folder / "pieces", fingerprint="t"),
        shared=folder / "shared",
    )
