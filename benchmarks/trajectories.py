"""MTT: an iteration of ours, naive and in constant memory, in turns with the published programs of MTT and TESLA, unmodified.

All get the same experts, weights that take a random walk, and random images of CIFAR-10's shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.methods.registry import METHODS
from bacon.runtime.draws import device_normal
from bacon.runtime.errors import BaconError
from bacon.settings.trajectories import TrajectorySettings
from benchmarks.cells import Measured, random_dataset
from benchmarks.distillation import in_turns
from benchmarks.machine import synchronise
from benchmarks.published import Published

WAYS = {"naive": False, "constant": True}
"""Our two ways to an iteration's gradient -> `constant_memory`."""
FILES = ("distill.py", "networks.py", "reparam_module.py", "utils.py")
"""What a checkout of the published code of MTT or of TESLA holds."""
_IMAGES_PER_CLASS = 64  # of which initial images are taken; an iteration reads no real image
_STEP = 0.01  # of the experts' walk, per epoch


class WalkingExperts:
    """Stands in for trained experts: the network's initial weights on a random walk; always the same.

    Args:
        context: what the algorithm is given besides.
        last_epoch: of the walk.
    """

    key = "random walk"

    def __init__(self, context: Context, last_epoch: int) -> None:
        self._context = context
        start = context.build(0).state_dict()
        self._epochs = [start]
        for epoch in range(1, last_epoch + 1):
            self._epochs.append({name: _moved(each, name, epoch) for name, each in self._epochs[-1].items()})

    def __len__(self) -> int:
        """One expert."""
        return 1

    def attributes(self, run: int) -> dict[str, Any]:
        """What the algorithm checks."""
        del run
        channels, size, _ = self._context.real.shape
        return {
            "dataset": self._context.cell.dataset,
            "data_fingerprint": self._context.data_fingerprint,
            "settings": {"network": self._context.network.model_dump(mode="json")},
            "channels": channels,
            "size": size,
            "classes": self._context.real.classes,
        }

    def epochs(self, run: int) -> list[int]:
        """All of them are kept."""
        del run
        return list(range(len(self._epochs)))

    def entry(self, run: int) -> SimpleNamespace:
        """An expert that has learned."""
        del run
        return SimpleNamespace(train_loss=0.0, train_accuracy=1.0)

    def snapshot(self, run: int, epoch: int) -> dict[str, Tensor]:
        """Weights by name."""
        del run
        return self._epochs[epoch]

    def save(self, folder: Path) -> None:
        """Write the walk as the published programs read it."""
        folder.mkdir(parents=True)
        torch.save([[list(weights.values()) for weights in self._epochs]], folder / "replay_buffer_0.pt")


def _moved(weights: Tensor, name: str, epoch: int) -> Tensor:
    noise = device_normal(epoch, f"walk-{name}", count=weights.numel(), device=weights.device)
    return weights + _STEP * noise.view(weights.shape).to(weights.dtype)


def program_arguments(measured: Measured, settings: TrajectorySettings, buffers: Path) -> list[str]:
    """The published programs' arguments for our settings; no evaluation ever.

    Raises:
        BaconError: the cell is not one that the programs can run.
    """
    if (measured.cell.dataset, measured.cell.method) != ("cifar10", "mtt"):
        raise BaconError(f"cell {measured.cell}: the published programs are timed on cifar10/mtt cells only")
    values: dict[str, Any] = {
        "dataset": "CIFAR10",
        "model": "ConvNet",
        "ipc": measured.ipc,
        "eval_it": -1,
        "Iteration": 10**9,
        "lr_img": settings.lr_img,
        "lr_lr": settings.lr_lr,
        "lr_teacher": settings.lr_student,
        "pix_init": "real",
        "dsa": settings.dsa_strategy != "none",
        "dsa_strategy": settings.dsa_strategy,
        "buffer_path": buffers,
        "expert_epochs": settings.expert_epochs,
        "syn_steps": settings.student_steps,
        "max_start_epoch": settings.max_start_epoch,
    }
    if settings.batch_syn is not None:
        values["batch_syn"] = settings.batch_syn
    return [text for key, value in values.items() for text in (f"--{key}", str(value))]


def measure(
    measured: Measured, *, published: dict[str, Path], device: torch.device, rounds: int, steps: int | None = None
) -> dict[str, Any]:
    """Seconds of an iteration, in turns: of the processor on a CPU, of the clock on a GPU.

    Args:
        measured: a CIFAR-10 cell of MTT.
        published: name -> checkout of a published program, which takes the GPU if there is one.
        device: where ours runs.
        rounds: of each, in turns, after one that does not count.
        steps: of the student, in place of the cell's.

    Returns:
        One row: medians, and medians of the rounds' ratios to ours in both ways.
    """
    settings = measured.settings.distillation
    if not isinstance(settings, TrajectorySettings):
        raise BaconError(f"cell {measured.cell}: matches no trajectories")
    settings = settings.model_copy(update={"student_steps": steps or settings.student_steps, "max_start_epoch": 1})
    dataset = random_dataset(measured.cell.dataset, train_limit=10 * _IMAGES_PER_CLASS, test_limit=10)
    context = Context(cell=measured.cell, real=RealImages(dataset, device=device), network=measured.settings.network)
    experts = WalkingExperts(context, settings.last_start_epoch() + settings.expert_epochs)
    context = replace(context, inputs={"experts": cast(TrainedRuns, experts)})
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    programs = {way: _ours(settings, context, constant_memory=constant, clock=clock) for way, constant in WAYS.items()}
    with ExitStack() as stack:
        buffers = Path(stack.enter_context(TemporaryDirectory(prefix="bacon-experts-")))
        experts.save(buffers / "CIFAR10_NO_ZCA" / "ConvNet")
        specification = {
            "do": "trajectories",
            "arguments": program_arguments(measured, settings, buffers),
            "clock": "processor" if device.type == "cpu" else "wall",
        }
        for name, checkout in published.items():
            program = Published(
                checkout, dataset, threads=torch.get_num_threads(), specification=specification, needed=FILES
            )
            programs[name] = _theirs(stack.enter_context(program))
        seconds = in_turns(programs, rounds)
    return {"cell": str(measured.cell), "steps": settings.student_steps, "rounds": rounds, **summary(seconds)}


def _ours(
    settings: TrajectorySettings, context: Context, *, constant_memory: bool, clock: Callable[[], float]
) -> Callable[[], float]:
    record, device = METHODS[context.cell.method], context.real.device
    assert record.algorithm is not None
    chosen = settings.model_copy(update={"constant_memory": constant_memory})
    engine = Engine(load_algorithm(record.algorithm, chosen, context), device=device)

    def run() -> float:
        synchronise(device)
        start = clock()
        engine.step()
        synchronise(device)
        return clock() - start

    return run


def _theirs(program: Published) -> Callable[[], float]:
    return lambda: float(program.ask()["iteration"])


def summary(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds of each program, and the median over the rounds of how many times as long as ours each takes."""
    row = {f"{name}_seconds": median(times) for name, times in seconds.items()}
    for ours in WAYS:
        for name, times in seconds.items():
            if name not in WAYS:
                ratios = [other / own for other, own in zip(times, seconds[ours], strict=True)]
                row[f"{name}_over_{ours}"] = median(ratios)
    row["constant_over_naive"] = median([c / n for c, n in zip(seconds["constant"], seconds["naive"], strict=True)])
    return row
