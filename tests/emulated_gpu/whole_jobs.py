"""Whole jobs, from a file of images to accuracies, in this process: all that a workflow runs for a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.downstream_job import run_downstream
from bacon.jobs.evaluation_job import run_evaluation
from bacon.jobs.training_job import run_training
from bacon.plan.plan import Plan
from bacon.plan.trainings import FULL_SET
from bacon.settings.cells import Cell
from tests.methods.test_contract import merged

CLASSES = 3


def planned(folder: Path, *layers: dict[str, Any], channels: int = 3, side: int = 8) -> Plan:
    """A plan of one cell, random images of the data set that is written into ``folder``; later layers win."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_images(folder / "toy.npz", channels=channels, side=side)
    common = {
        "preset": "smoke",
        "data": {"toy": {"format": "npz", "path": str(folder / "toy.npz"), "title": "Toy"}},
        "grid": {"datasets": ["toy"], "methods": ["random"], "ipc": [1], "seeds": 1},
        "datasets": {"toy": {"network": {"width": 4, "depth": 2}, "evaluation": {"epochs": 2, "seeds": 1}}},
        "run": {"device": "cuda", "checkpoint_seconds": 1000.0},
    }
    return Plan(check_config(merged(common, *layers)), folder)


def _write_images(path: Path, *, channels: int, side: int) -> None:
    """12 training and 4 test images of each class: noise around a level of the class."""
    generator = np.random.default_rng(0)
    parts = {}
    for name, count in (("train", 12), ("test", 4)):
        labels = np.repeat(np.arange(CLASSES), count)
        noise = generator.integers(0, 128, size=(len(labels), side, side, channels))
        parts |= {f"x_{name}": (noise + 40 * labels[:, None, None, None]).astype(np.uint8), f"y_{name}": labels}
    np.savez(path, **parts)


def run(plan: Plan) -> None:
    """Every job of the plan but evaluations of the full data set."""
    make_inputs(plan)
    for cell in plan.cells:
        distil(plan, cell)
        evaluate(plan, cell)
    if plan.tasks.names:
        train(plan, full=True)
    for name in plan.tasks.names:
        for cell, network in plan.tasks.places(name):
            run_task(plan, name, cell, network)


def make_inputs(plan: Plan) -> None:
    """Prepare the data and train the networks that cells and tasks need."""
    for name in plan.prepared_sets:
        prepared, output = plan.prepared_set(name), plan.directory / f"results/data/{name}.h5"
        fingerprint = plan.data_fingerprint(name)
        prepare(prepared.dataset, prepared.settings, download_dir=Path(), output=output, fingerprint=fingerprint)
    train(plan)


def train(plan: Plan, *, full: bool = False) -> None:
    """Train the networks of the plan on real sets; those that stand for the full data set only where ``full`` says so."""
    for training in plan.trainings.values():
        if (training.need.name == FULL_SET) != full:
            continue
        for block in training.blocks:
            data = plan.directory / f"results/data/{block.dataset}.h5"
            run_training(plan, block, data=data, output=plan.directory / block.path, threads=1)


def distil(plan: Plan, cell: Cell) -> Path:
    """Distil a cell; the file that is written."""
    output = plan.directory / cell.distilled_path
    run_cell(plan, cell, data=_data(plan, cell), output=output, threads=1)
    return output


def evaluate(plan: Plan, cell: Cell) -> None:
    """Train and test the networks of a cell, or of the full data set."""
    for network in plan.networks:
        output = plan.directory / plan.evaluation_path(cell, network)
        run_evaluation(
            plan, cell, network, data=_data(plan, cell), images=_images(plan, cell), output=output, threads=1
        )


def run_task(plan: Plan, name: str, cell: Cell, network: str) -> None:
    """Put a cell's networks to a downstream task."""
    output = plan.directory / cell.downstream_path(name, network)
    run_downstream(
        plan, name, cell, network, data=_data(plan, cell), images=_images(plan, cell), output=output, threads=1
    )


def arrays(path: Path) -> dict[str, bytes]:
    """Every array of a file; what says when and how long it was made is left out."""
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, part: found.update({name: part[()].tobytes()} if hasattr(part, "shape") else {}))
    return found


def _data(plan: Plan, cell: Cell) -> Path:
    return plan.directory / plan.data_path(cell)


def _images(plan: Plan, cell: Cell) -> Path | None:
    return None if cell.ipc is None else plan.directory / cell.distilled_path
