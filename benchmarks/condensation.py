"""DC, DSA and DM: an iteration of ours in turns with one of the published programs, unmodified, from the user's checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.runtime.provenance import peak_memory_bytes
from bacon.settings.distillation import DistillationSettings, MatchingSettings
from bacon.settings.gradient_matching import GradientMatchingSettings
from benchmarks.cells import Measured, random_dataset
from benchmarks.distillation import in_turns, summary
from benchmarks.machine import seconds_of
from benchmarks.published import Published

PROGRAMS = {"dc": "main", "dsa": "main", "dm": "main_DM"}
"""Method -> the program that distils with it."""
FILES = ("main.py", "main_DM.py", "networks.py", "utils.py")
"""What a checkout of the published code of DC, DSA and DM holds."""


def program_arguments(measured: Measured) -> list[str]:
    """The published program's arguments for our settings; its evaluations are put behind the last iteration.

    Raises:
        BaconError: the cell is not one that the programs can run.
    """
    settings = measured.settings.distillation
    if measured.cell.dataset != "cifar10" or measured.cell.method not in PROGRAMS:
        raise BaconError(
            f"cell {measured.cell}: the published programs are timed on cifar10 cells of dc, dsa and dm only"
        )
    assert isinstance(settings, MatchingSettings | GradientMatchingSettings)
    values: dict[str, Any] = {
        "dataset": "CIFAR10",
        "model": "ConvNet",
        "ipc": measured.ipc,
        "eval_mode": "M",  # evaluates at the end alone
        "num_exp": 1,
        "num_eval": 1,
        "Iteration": 10**9,
        "lr_img": settings.lr_img,
        "batch_real": settings.batch_real,
        "init": settings.init,
        "dsa_strategy": getattr(settings, "dsa_strategy", "none"),
    }
    if measured.cell.method != "dm":
        values["method"] = measured.cell.method.upper()
    return [text for key, value in values.items() for text in (f"--{key}", str(value))]


def measure(measured: Measured, *, published: Path, device: torch.device, rounds: int, steps: bool) -> dict[str, Any]:
    """Seconds of an iteration, ours and the published program's, on random data of CIFAR-10's shape.

    Args:
        measured: a CIFAR-10 cell of DC, DSA or DM.
        published: checkout of the published code.
        device: where ours runs; the published program takes the GPU if there is one.
        rounds: of each, in turns, after one that does not count.
        steps: DC and DSA: one step of the images an iteration and no training of the network between steps, which from 10
            images per class on takes most of an iteration.
    """
    settings = _settings(measured, steps=steps)
    dataset = random_dataset(measured.cell.dataset)
    real = RealImages(dataset, device=device)
    record = METHODS[measured.cell.method]
    assert record.algorithm is not None
    context = Context(cell=measured.cell, real=real, network=measured.settings.network)
    engine = Engine(load_algorithm(record.algorithm, settings, context), device=device)
    specification: dict[str, Any] = {
        "do": "condense",
        "program": PROGRAMS[measured.cell.method],
        "arguments": program_arguments(measured),
    }
    if steps and isinstance(settings, GradientMatchingSettings):
        specification["loops"] = [1, 1]
    threads = torch.get_num_threads()
    with Published(published, dataset, threads=threads, specification=specification, needed=FILES) as program:
        seconds = in_turns(
            {"ours": lambda: seconds_of(engine.step, device), "published": lambda: program.ask()["iteration"]}, rounds
        )
    return {"cell": str(measured.cell), **summary(seconds), "peak_memory_bytes": peak_memory_bytes(device)}


def _settings(measured: Measured, *, steps: bool) -> DistillationSettings:
    settings = measured.settings.distillation
    assert settings is not None
    if steps and isinstance(settings, GradientMatchingSettings):
        return settings.model_copy(update={"outer": 1, "inner": 1})
    return settings
