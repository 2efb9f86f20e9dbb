"""What is measured: a cell's settings as the workflow resolves them, and random data of its data set's shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bacon.config.layering import resolve
from bacon.config.loading import load_config
from bacon.datasets.prepare import build
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.data import DataSettings
from bacon.settings.distillation import MatchingSettings
from bacon.settings.network import NetworkSettings

ROOT = Path(__file__).resolve().parents[1]
PAPER_CELLS = tuple(
    f"{dataset}/bacon/ipc{ipc}/seed0"
    for dataset in ("svhn", "cifar10", "cifar100", "tinyimagenet")
    for ipc in (1, 10, 50)
    if (dataset, ipc) != ("tinyimagenet", 50)
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A cell with its settings."""

    cell: Cell
    settings: CellSettings

    @property
    def matching(self) -> MatchingSettings:
        """Settings of distillation."""
        if not isinstance(self.settings.distillation, MatchingSettings):
            raise BaconError(f"cell {self.cell}: selects real images, so there is no iteration to measure")
        return self.settings.distillation

    @property
    def ipc(self) -> int:
        """Images per class."""
        assert self.cell.ipc is not None
        return self.cell.ipc


def measured(name: str, config: Path | None = None, *, precision: str | None = None) -> Measured:
    """The cell called ``name``, such as ``cifar10/bacon/ipc10`` (seed 0 unless named).

    Args:
        name: the cell.
        config: configuration whose settings apply; by default the paper's, and the demo's for the embedded digits.
        precision: of the convolutions, in place of the configuration's; of a network of the method's own too.
    """
    cell = Cell.parse(name if "/seed" in name else f"{name}/seed0")
    default = "config.yaml" if cell.dataset == "digits" else "paper.yaml"
    loaded = load_config(config or ROOT / "config" / default)
    settings = resolve(loaded, cell).settings
    if precision is not None:
        network = settings.network.model_copy(update={"precision": precision})
        settings = settings.model_copy(update={"network": network})
        own = getattr(settings.distillation, "network", None)
        if isinstance(own, NetworkSettings):
            own = own.model_copy(update={"precision": precision})
            distillation = settings.distillation.model_copy(update={"network": own})
            settings = settings.model_copy(update={"distillation": distillation})
    return Measured(cell=cell, settings=settings)


def engine_of(
    measured: Measured,
    real: RealImages,
    *,
    network: NetworkSettings | None = None,
    seed: int = 0,
    chunk_images: int = 2048,
) -> Engine:
    """What distils a cell on ``real``, in the cell's own network or another, before its first iteration."""
    cell = Cell(measured.cell.dataset, measured.cell.method, measured.ipc, seed)
    network = measured.settings.network if network is None else network
    context = Context(cell=cell, real=real, network=network, memory=MemoryLimit(chunk_images))
    algorithm = METHODS[cell.method].algorithm
    assert algorithm is not None, "measured cells are distilled"
    return Engine(load_algorithm(algorithm, measured.settings.distillation, context), device=real.device)


def random_dataset(
    name: str, *, train_limit: int | None = None, test_limit: int | None = None, by_class: bool = False
) -> ImageDataset:
    """Random images with the shape, the sizes and the normalisation of a registered data set; always the same.

    Args:
        name: of the data set.
        train_limit: most training images.
        test_limit: most test images.
        by_class: training images in the order of their classes, which spares who wants them so a copy; else in turns.
    """
    info = REGISTRY[name]
    generator = np.random.default_rng(0)
    train, test = (
        min(size, limit or size) for size, limit in ((info.train_size, train_limit), (info.test_size, test_limit))
    )
    count = (train + test) * math.prod(info.shape)
    # Words of eight pixels: a pixel at a time takes twice as long and more, seconds for TinyImageNet.
    words = generator.integers(0, 2**64 - 1, size=-(-count // 8), dtype=np.uint64, endpoint=True)
    images = words.view(np.uint8)[:count].reshape(train + test, *info.shape)
    labels = np.arange(train + test, dtype=np.int64) % info.classes
    if by_class:
        labels[:train].sort()
    channels = info.shape[0]
    return ImageDataset(
        name=name,
        train_images=images[:train],
        train_labels=labels[:train],
        test_images=images[train:],
        test_labels=labels[train:],
        class_names=tuple(str(label) for label in range(info.classes)),
        mean=info.mean or (0.5,) * channels,
        std=info.std or (0.25,) * channels,
        fingerprint="random",
    )


def real_dataset(name: str, data: Path | None) -> ImageDataset:
    """The preprocessed data set in ``data``; the embedded digits need no file."""
    if data is not None:
        return read_dataset(data)
    if name != "digits":
        raise BaconError(f"{name}: accuracy needs real images: give --data results/data/{name}.h5")
    return build("digits", DataSettings(), download_dir=Path())
