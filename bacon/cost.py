"""What a job will cost, from its settings alone: time and memory to ask a scheduler for. No torch.

Time is that of the convolutions' operations (a multiplication and an addition counted as two; forward and backward together
are three times the forward pass) and a constant for each pass through a network, which is what small networks cost. Rates are
low on purpose: a job that asks for too little is killed, one that asks for too much waits a little longer.
``bacon status`` scales the times by what finished jobs took.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bacon.cells import Cell
from bacon.configuration import data_settings
from bacon.datasets.registry import REGISTRY
from bacon.plan import Plan
from bacon.settings import MatchingSettings, NetworkQueue, NetworkSettings

# Sustained operations per second: of one GPU in full precision, and of one CPU thread.
GPU_RATE = 4e12
CPU_RATE = 1e10
# Of one pass, forward and backward, whatever its size.
PASS_SECONDS = 0.005
# Importing PyTorch, reading the data set, and everything that is not a convolution.
START_SECONDS = 60.0
SLACK = 2.0
SHORTEST_MINUTES = 10
BASE_MB = 2000
_BACKWARD = 3  # forward and backward, in forward passes
_MAPS = 6  # feature maps of a block's size that are alive in forward and backward


@dataclass(frozen=True)
class Extent:
    """How large a data set is."""

    channels: int
    size: int
    classes: int
    train: int
    test: int

    @property
    def megabytes(self) -> float:
        """Of its uint8 images."""
        return (self.train + self.test) * self.channels * self.size**2 / 1e6


# What an own data set is taken for before it is prepared; `run:` and --set-resources say better.
_UNKNOWN = Extent(channels=3, size=64, classes=100, train=100_000, test=10_000)


def extent(plan: Plan, dataset: str) -> Extent:
    """The registry's figures, at the configured size; an own data set is taken for one like TinyImageNet with 100 classes."""
    data = data_settings(plan.config, dataset)
    if dataset not in REGISTRY or data.path is not None:
        known = _UNKNOWN
    else:
        info = REGISTRY[dataset]
        known = Extent(info.shape[0], info.shape[1], info.classes, info.train_size, info.test_size)
    return Extent(known.channels, data.size or known.size, known.classes, known.train, known.test)


def forward_operations(network: NetworkSettings, channels: int, size: int) -> float:
    """Operations of one image's forward pass through the convolutions (0.1014e9 for ConvNet-3 on 32x32 colour images)."""
    total, inputs, side = 0.0, channels, size
    for _ in range(network.depth):
        total += 2 * 9 * inputs * network.width * side**2
        inputs = network.width
        if network.pooling != "none":
            side = max(side // 2, 1)
    return total


def distill_seconds(plan: Plan, cell: Cell) -> float:
    """Time of a cell's distillation; choosing real images counts as one pass over the training set."""
    settings, data = plan.settings(cell), extent(plan, cell.dataset)
    forward = forward_operations(settings.network, data.channels, data.size)
    matching = settings.distillation
    if not isinstance(matching, MatchingSettings):
        return _seconds(plan, forward * data.train, passes=1)
    real = min(matching.batch_real, math.ceil(data.train / data.classes)) * data.classes
    synthetic = (cell.ipc or 0) * matching.partition**2 * data.classes
    images, passes = real + _BACKWARD * synthetic, 2
    if isinstance(matching.networks, NetworkQueue):
        queue = matching.networks
        images += _BACKWARD * queue.networks_trained * queue.model_train_steps * queue.batch_train
        passes += queue.networks_trained * queue.model_train_steps
    return _seconds(plan, forward * images * matching.iterations, passes=passes * matching.iterations)


def evaluation_seconds(plan: Plan, cell: Cell, network: str) -> float:
    """Time of all the networks trained on a cell."""
    settings, data = plan.settings(cell), extent(plan, cell.dataset)
    evaluation = settings.evaluation
    forward = forward_operations(plan.evaluation_network(cell, network), data.channels, data.size)
    if cell.ipc is None:
        train, networks = data.train, evaluation.seeds
    else:
        partition = getattr(settings.distillation, "partition", 1)
        train, networks = cell.ipc * partition**2 * data.classes, evaluation.seeds
        if isinstance(settings.distillation, MatchingSettings):
            networks += evaluation.snapshot_seeds * (len(settings.distillation.snapshot_iterations()) - 1)
    operations = forward * (_BACKWARD * train * evaluation.epochs + data.test)
    passes = evaluation.epochs * math.ceil(train / evaluation.batch_size)
    return _seconds(plan, networks * operations, passes=networks * passes)


def _seconds(plan: Plan, operations: float, *, passes: float) -> float:
    """At a GPU's rate, unless `run.device` is cpu."""
    rate = CPU_RATE * plan.config.run.threads if plan.config.run.device == "cpu" else GPU_RATE
    return operations / rate + passes * PASS_SECONDS


def minutes(seconds: float, *, attempt: int = 1) -> int:
    """Time to ask a scheduler for a job that takes ``seconds``; each further attempt asks for as much again."""
    return attempt * max(SHORTEST_MINUTES, math.ceil(SLACK * (START_SECONDS + seconds) / 60))


def memory_mb(plan: Plan, cell: Cell, *, attempt: int = 1) -> int:
    """Memory to ask a scheduler for, in MB: the data set, and a chunk's feature maps where there is no GPU to hold them."""
    network, data = plan.settings(cell).network, extent(plan, cell.dataset)
    together = min(plan.config.run.chunk_images, data.train)
    maps = _MAPS * network.width * data.size**2 * 4 * together / 1e6
    return attempt * math.ceil(BASE_MB + 3 * data.megabytes + maps)
