"""What a job will cost, computed from its settings: time and memory to request from a scheduler. No torch.

Time is that of the convolutions' operations (a multiplication and an addition counted as two), or a constant for each pass
through a network where that is longer, as it is for small ones. Rates are low on purpose: a job that requests too
little is stopped, one that requests too much waits a little longer. ``bacon status`` scales the times by what finished
jobs took.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bacon.datasets.registry import REGISTRY
from bacon.methods.base import CellSize, Work
from bacon.methods.registry import METHODS
from bacon.networks.padding import first_side
from bacon.networks.registry import forward_operations
from bacon.plan.plan import Plan
from bacon.plan.trainings import PlannedTraining
from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.cells import Cell, RunBlock
from bacon.settings.network import NetworkSettings
from bacon.settings.run import WAITING_WEIGHTS_BYTES

# Sustained operations per second: of one GPU in full precision, half the data sheet's 15.7e12 of a V100, and of one CPU thread.
GPU_RATE = 8e12
_REGRESSION = 4  # float64, and the functions of a kernel: times the operations of its inner products
CPU_RATE = 1e10
# At least, of one pass through a network.
PASS_SECONDS = 0.005
# Importing PyTorch, reading the data set, and everything that is not a convolution.
START_SECONDS = 60.0
SLACK = 2.0
SHORTEST_MINUTES = 10
BASE_MB = 2000
# Of a cell that a GPU's job works on beside its own, on the host: objects, streams, recorded graphs; not its tensors.
BESIDE_MB = 250
PREPARING_MB = 6000  # of any data set: its images pass in batches
# Operations per cube of the dimension: eigenvectors of a symmetric matrix, and ZCA's product of matrices.
_EIGENVECTORS = 12
_MATRICES = 6  # of float64 that are alive while ZCA is fitted: the covariance, its eigenvectors and their workspace
_USUAL_PIXELS = 32 * 32  # of the images that run.chunk_images counts; of larger ones, fewer are computed at a time
_MAPS = 6  # feature maps of a block's size that are alive in forward and backward


@dataclass(frozen=True)
class DataSize:
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


_TESTED_AT_ONCE = 512

# What an own data set is taken for before it is prepared; `run:` and --set-resources say better.
_UNKNOWN = DataSize(channels=3, size=64, classes=100, train=100_000, test=10_000)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What has been measured of a machine and of data sets, to be used instead of the assumptions of this module.

    Attributes:
        operations_per_second: of one job, in the convolutions of a large batch.
        pass_seconds: of one pass through a network, whatever the batch.
        sizes: data set -> its size as it will be prepared.
    """

    operations_per_second: float
    pass_seconds: float
    sizes: Mapping[str, DataSize] = field(default_factory=dict)

    def seconds(self, operations: float, passes: float) -> float:
        """Time of ``operations`` in ``passes`` passes."""
        return operations / self.operations_per_second + passes * self.pass_seconds


def data_size(plan: Plan, dataset: str, measured: Measurements | None = None) -> DataSize:
    """The registry's figures, at the configured size; ``dataset`` may be the name of a prepared form of it.

    Of an own data set, what was measured; otherwise it is taken for the registered one of its name, or for one like
    TinyImageNet with 100 classes.
    """
    prepared = plan.prepared_set(dataset)
    dataset, data = prepared.dataset, prepared.settings
    if measured is not None and dataset in measured.sizes:
        return measured.sizes[dataset]
    if dataset not in REGISTRY:
        known = _UNKNOWN
    else:
        info = REGISTRY[dataset]
        known = DataSize(info.shape[0], info.shape[1], info.classes, info.train_size, info.test_size)
    return DataSize(known.channels, data.size or known.size, known.classes, known.train, known.test)


@dataclass(frozen=True)
class Operations:
    """Operations of one image in the convolutions.

    Attributes:
        forward: 0.1014e9 for ConvNet-3 on 32x32 colour images.
        training: forward, and backward to the weights of every block and to all maps but the image.
        image_gradient: forward, and backward to the image through a network whose weights stay.
        matching_gradient: forward, backward to the weights of every block, and through both to the image.
    """

    forward: float
    training: float
    image_gradient: float
    matching_gradient: float


def operations(network: NetworkSettings, channels: int, size: int) -> Operations:
    """Operations of one image; a backward pass towards weights, or towards maps, costs what the forward pass does."""
    forward, first = forward_operations(network, channels, size)
    # Forward, both gradients, two derivatives of each (the first block has none of its maps), and the way back to the image.
    matching = 8 * forward - 3 * first
    return Operations(forward, training=3 * forward - first, image_gradient=2 * forward, matching_gradient=matching)


def distill_seconds(plan: Plan, cell: Cell, measured: Measurements | None = None) -> float:
    """Time of a cell's distillation: what its method's record says that it computes; none where a set is copied."""
    if plan.same_set(cell) is not None:
        return 0.0
    settings, data = plan.settings(cell), data_size(plan, cell.dataset, measured)
    image, work = operations(settings.network, data.channels, data.size), _work(plan, cell, data)
    once = (
        seconds_of(plan, getattr(image, passes.kind) * passes.images * passes.count, passes.count, measured)
        for passes in work.passes
    )
    return work.iterations * sum(once)


def _work(plan: Plan, cell: Cell, data: DataSize) -> Work:
    size = CellSize(ipc=cell.ipc or 0, classes=data.classes, train=data.train)
    return METHODS[plan.config.base_method(cell.method)].cost(plan.settings(cell).distillation, size)


def training_seconds(
    plan: Plan, training: PlannedTraining, block: RunBlock, measured: Measurements | None = None
) -> float:
    """Time of a block of networks trained on the real set, as if one after another."""
    data, recipe = data_size(plan, training.dataset, measured), training.need.recipe
    image = operations(training.need.network, data.channels, data.size)
    steps = recipe.total_steps(data.train)
    once = seconds_of(plan, image.training * steps * min(recipe.batch_size, data.train), steps, measured)
    return len(block.runs) * once


def whitening_seconds(plan: Plan, name: str) -> float:
    """Time of fitting the ZCA of a prepared data set on one thread: covariance, eigenvectors, matrix; 0 without ZCA."""
    if not plan.prepared_set(name).settings.zca:
        return 0.0
    data = data_size(plan, name)
    dimension = data.channels * data.size**2
    return (2.0 * data.train * dimension**2 + _EIGENVECTORS * float(dimension) ** 3) / CPU_RATE


def preparing_mb(plan: Plan, name: str) -> int:
    """Memory to ask a scheduler for to prepare a data set, in MB."""
    if not plan.prepared_set(name).settings.zca:
        return PREPARING_MB
    data = data_size(plan, name)
    return math.ceil(PREPARING_MB + _MATRICES * 8 * (data.channels * data.size**2) ** 2 / 1e6)


def training_memory_mb(plan: Plan, training: PlannedTraining) -> int:
    """Memory to ask a scheduler for, in MB: the data set, and a batch's feature maps where there is no GPU to hold them."""
    data, network = data_size(plan, training.dataset), training.need.network
    batch = min(training.need.recipe.batch_size, data.train)
    maps = _MAPS * network.width * data.size**2 * 4 * batch / 1e6
    return math.ceil(BASE_MB + 3 * data.megabytes + maps)


def weights(network: NetworkSettings, channels: int, size: int, classes: int) -> int:
    """Parameters of a network, exact for ConvNet; of another architecture, those that its record gives."""
    if known := ARCHITECTURES[network.architecture].parameters:
        return int(known)
    total, inputs, side = 0, channels, first_side(size)
    for _ in range(network.depth):
        each = {"none": 0, "layer": side**2}.get(network.norm, 1)  # layer norm has a scale and a shift of every element
        total += network.width * (9 * inputs + 1 + 2 * each)
        inputs = network.width
        if network.pooling != "none":
            side //= 2
    return total + classes * (inputs * side**2 + 1)


def stored_bytes(plan: Plan, training: PlannedTraining) -> int:
    """Bytes that the runs of a training take on the disk, before any is there: weights and soft labels are float32."""
    data, need = data_size(plan, training.dataset), training.need
    epochs = need.recipe.total_epochs(data.train)
    sets = len(need.snapshot_epochs(epochs)) + ("final" in need.keep)
    total = 4 * sets * weights(need.network, data.channels, data.size, data.classes)
    if "history" in need.keep:
        total += epochs * math.ceil(data.train / 8)
    if "soft_labels" in need.keep:
        total += 4 * data.train * data.classes
    return need.runs * total


def evaluation_seconds(plan: Plan, cell: Cell, network: str, measured: Measurements | None = None) -> float:
    """Time of all the networks trained on a cell, those of a search for the learning rate included."""
    settings, data = plan.settings(cell), data_size(plan, cell.dataset, measured)
    evaluation = settings.evaluation
    image = operations(plan.evaluation_network(cell, network), data.channels, data.size)
    if cell.ipc is None and plan.full_set_needs(cell, network):
        tests = evaluation.seeds * len(evaluation.augmentations)
        passes = tests * math.ceil(data.test / _TESTED_AT_ONCE)
        return seconds_of(plan, image.forward * data.test * tests, passes, measured)
    # Of the networks that a search trains, the chosen one is among the final ones.
    networks = evaluation.seeds + max(len(evaluation.lr_search) - 1, 0)
    if cell.ipc is None:
        train = data.train
    else:
        assert settings.distillation is not None, "a cell with an IPC is distilled"
        train = cell.ipc * settings.distillation.parts() * data.classes
        networks += evaluation.snapshot_seeds * max(len(settings.distillation.snapshot_iterations()) - 1, 0)
    if evaluation.regression != "none":
        pairs = float(train) * (train + data.test) * data.channels * data.size**2
        return networks * seconds_of(plan, 2 * _REGRESSION * pairs, 1, measured)
    epochs = sum(
        evaluation.with_augmentation(name, 1.0).passes(images=train, classes=data.classes)
        for name in evaluation.augmentations
    )
    passes, tests = epochs * math.ceil(train / evaluation.batch_size), len(evaluation.augmentations)
    training = seconds_of(plan, image.training * train * epochs, passes, measured)
    for need in plan.teachers(cell):
        forward = operations(need.network, data.channels, data.size).forward * train * epochs * need.runs
        training += seconds_of(plan, forward, passes * need.runs, measured)
    return networks * (training + seconds_of(plan, image.forward * data.test * tests, tests, measured))


def seconds_of(plan: Plan, total: float, passes: float, measured: Measurements | None) -> float:
    """Of ``total`` operations in ``passes`` passes: as measured, or at a GPU's rate unless `run.device` is cpu."""
    if measured is not None:
        return measured.seconds(total, passes)
    rate = CPU_RATE * plan.config.run.threads if plan.config.run.device == "cpu" else GPU_RATE
    return max(total / rate, passes * PASS_SECONDS)


def minutes(seconds: float, *, attempt: int = 1) -> int:
    """Time to ask a scheduler for a job that takes ``seconds``; each further attempt requests as much again."""
    return attempt * max(SHORTEST_MINUTES, math.ceil(SLACK * (START_SECONDS + seconds) / 60))


def memory_mb(plan: Plan, cell: Cell) -> int:
    """Memory to ask a scheduler for, in MB: the data set, and a chunk's feature maps where there is no GPU to hold them."""
    network, data = plan.settings(cell).network, data_size(plan, cell.dataset)
    pixels = data.size**2
    together = min(plan.config.run.chunk_images * _USUAL_PIXELS // max(pixels, _USUAL_PIXELS), data.train)
    maps = _MAPS * network.width * pixels * 4 * together / 1e6
    return math.ceil(BASE_MB + 3 * data.megabytes + maps)


def distillation_memory_mb(plan: Plan, cell: Cell) -> int:
    """As :func:`memory_mb`, with the weights that wait on the host and the seeds that the job works on beside its own.

    These share the real images, and their tensors are on the GPU; checkpoints are written one after another, a tensor at a
    time. So a further seed takes :data:`BESIDE_MB`, and has weights of its own that wait.
    """
    alone = memory_mb(plan, cell)
    if plan.same_set(cell) is not None:
        return alone
    network, data = plan.settings(cell).network, data_size(plan, cell.dataset)
    each = 4 * weights(network, data.channels, data.size, data.classes)
    waiting = min(WAITING_WEIGHTS_BYTES, _work(plan, cell, data).host_weights * each) / 1e6
    beside = _seeds_beside(plan)
    return math.ceil(alone + waiting + beside * (BESIDE_MB + waiting))


def _seeds_beside(plan: Plan) -> int:
    """The most seeds that a job works on beside its own; none on a CPU, nor where the host gathers the real images."""
    run = plan.config.run
    if run.device == "cpu" or run.real_images == "host":
        return 0
    return min(run.cells_at_once, len(plan.config.grid.seed_list())) - 1
