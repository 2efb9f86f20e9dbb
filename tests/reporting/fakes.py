"""Evaluation and distilled files with known contents, as the other stages write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bacon.artifacts.evaluation_records import FORMAT, VERSION
from bacon.reporting.collect.evaluations import ExpectedDistilled, ExpectedEvaluation

TITLES = {"full": "Full data set", "random": "Random", "dm": "DM", "idm": "IDM", "bacon": "BACON"}
PUBLISHED_METHODS = {"full": "Whole dataset"}
DATASETS = {"digits": ("Digits", None), "cifar10": ("CIFAR-10", "CIFAR10"), "svhn": ("SVHN", "SVHN")}
EVALUATION = {
    "seeds": 5,
    "snapshot_seeds": 1,
    "augmentations": ["dsa"],
    "epochs": 100,
    "epochs_plain": None,
    "lr_search": [],
    "batch_size": 256,
    "lr_net": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "dsa_strategy": "color_crop_cutout_scale_rotate",
}
NETWORK = {
    "architecture": "convnet",
    "width": 32,
    "depth": 3,
    "norm": "instance",
    "activation": "relu",
    "pooling": "avg",
}


def record(iteration: int, seed: int, accuracy: float, *, final: bool = True) -> dict[str, Any]:
    return {
        "iteration": iteration,
        "final": final,
        "evaluation_seed": seed,
        "augmentation": "dsa",
        "lr_net": 0.01,
        "test_accuracy": accuracy,
        "train_accuracy": 0.99,
        "train_loss": 0.02,
        "epochs": 100,
        "wall_seconds": 1.5,
        "fingerprint": f"record-{iteration}-{seed}",
        "confusion": [[7, 3], [1, 9]],
        "class_accuracy": [0.7, 0.9],
        "validation_accuracy": None,
    }


def evaluation(
    folder: Path,
    records: list[dict[str, Any]],
    *,
    dataset: str = "digits",
    method: str = "bacon",
    ipc: int | None = 10,
    seed: int | None = 0,
    network: str = "convnet",
    fingerprint: str = "fresh",
    settings: dict[str, Any] | None = None,
) -> ExpectedEvaluation:
    """Write an evaluation file and return what is expected of it."""
    path = folder / "evaluation" / dataset / method / f"ipc{ipc}" / f"seed{seed}" / f"{network}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    finals = sum(one["final"] for one in records)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint,
        "dataset": dataset,
        "method": method,
        "ipc": ipc,
        "seed": seed,
        "network": network,
        "settings": {"network": NETWORK, "evaluation": {**EVALUATION, "seeds": finals, **(settings or {})}},
        "data_fingerprint": "data",
        "distilled_fingerprint": None if ipc is None else "distilled",
        "provenance": {
            "device": "cpu (test)",
            "commit": "0123abc",
            "packages": {"torch": "2.14.1", "bacon-distillation": "0.1"},
        },
        "records": records,
    }
    path.write_text(json.dumps(content))
    title, published = DATASETS[dataset]
    return ExpectedEvaluation(
        path=path,
        fingerprint="fresh",
        dataset=dataset,
        method=method,
        ipc=ipc,
        seed=seed,
        network=network,
        dataset_title=title,
        method_title=TITLES.get(method, method),
        published_dataset=published,
        published_method=PUBLISHED_METHODS.get(method, TITLES.get(method, method)),
    )


def distilled(
    folder: Path,
    images: np.ndarray,
    *,
    snapshots: dict[int, np.ndarray] | None = None,
    history: dict[str, np.ndarray] | None = None,
    dataset: str = "digits",
    method: str = "bacon",
    ipc: int = 1,
    seed: int = 0,
    fingerprint: str = "fresh",
    **attributes: Any,
) -> ExpectedDistilled:
    """Write a distilled file and return what is expected of it; ``images`` (M, C, H, W) in class order."""
    path = folder / "distilled" / dataset / method / f"ipc{ipc}" / f"seed{seed}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    classes, channels = len(images) // ipc, images.shape[1]
    with h5py.File(path, "w") as file:
        file["images"] = images.astype(np.float32)
        file["labels"] = np.repeat(np.arange(classes), ipc)
        for iteration, snapshot in (snapshots or {}).items():
            file[f"snapshots/{iteration}"] = snapshot.astype(np.float32)
            file[f"snapshot_labels/{iteration}"] = file["labels"]
        for term, values in (history or {}).items():
            file[f"history/{term}"] = values
        file.attrs.update(
            {
                "dataset": dataset,
                "method": method,
                "ipc": ipc,
                "seed": seed,
                "fingerprint": fingerprint,
                "partition": 1,
                "learned_rates": 0,
                "image_bytes": images.size * 4,
                "label_bytes": 0,
                "decoder_bytes": 0,
                "class_names": json.dumps([str(label) for label in range(classes)]),
                "mean": np.full(channels, 0.25),
                "std": np.full(channels, 0.5),
                "iterations": 200,
                "wall_seconds": 20.0,
                "iterations_per_second": 10.0,
                "peak_memory_bytes": 512 * 2**20,
                "device": "cpu (test)",
                **attributes,
            }
        )
    return ExpectedDistilled(
        path=path,
        fingerprint="fresh",
        dataset=dataset,
        method=method,
        ipc=ipc,
        seed=seed,
        dataset_title=DATASETS[dataset][0],
        method_title=TITLES.get(method, method),
    )
