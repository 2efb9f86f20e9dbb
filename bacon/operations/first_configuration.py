"""A configuration for own data that runs in a given time on a given machine: what `bacon init` writes. No torch.

Of what can be given up for time, first the larger sets go, then pixels, then iterations and the width of the networks, and
last the repetitions, without which differences mean little. Nothing goes below what still says something about the data; then
the configuration takes longer than asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bacon.config.loading import check_config
from bacon.datasets.shares import held_out_count
from bacon.plan.cost import DataSize
from bacon.plan.machine import Machine
from bacon.plan.plan import Plan
from bacon.plan.run_time import full_set_seconds, job_memory_mb, run_seconds

TEST_FRACTION = 0.2
METHODS = ("random", "dm", "bacon")
_DEPTHS = {8: 2, 16: 3, 28: 3, 32: 3, 64: 4, 128: 5}
"""Side in pixels -> blocks of the ConvNet, which halve it to 4 (2 for the smallest, as for the embedded digits)."""
_LARGEST = {"cpu": 64, "gpu": 128}
_SMALLEST_BY_CHOICE = 32
_ENLARGED_BY = 1.1
_SEEDS = (3, 1)
_PARTS = 4
_LARGE_CLASS = 500
_FULL_EPOCHS = (200, 100, 40, 20, 10, 5, 3)
_FULL_SHARE = 0.25
_CHUNKS = (2048, 1024, 512, 256)
_MEMORY_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class OwnImages:
    """What a configuration depends on in own data.

    Attributes:
        format: ``imagefolder``, ``npz`` or ``hdf5``.
        path: the file or folder, as the configuration names it.
        title: name in tables and figures.
        classes: names of the classes.
        train: images of each class; those to be held out for testing among them.
        test: test images of each class; ``None``: they are held out.
        sides: shorter side of the images in pixels: least, median, most.
        square: the side of all images, where they are squares of one size.
        channels: 1 or 3.
        unreadable: files that are known to be no images.
        value_range: what is black and what white, where the files do not say.
        read_seconds: time to read and resize one image.
    """

    format: str
    path: str
    title: str
    classes: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...] | None
    sides: tuple[int, int, int]
    square: int | None
    channels: int
    unreadable: int = 0
    value_range: tuple[float, float] | None = None
    read_seconds: float = 0.0

    @property
    def kept(self) -> tuple[int, ...]:
        """Training images of each class, those held out left out."""
        if self.test is not None:
            return self.train
        return tuple(count - held_out_count(count, TEST_FRACTION) if count > 1 else count for count in self.train)

    @property
    def tested(self) -> int:
        """Test images."""
        return sum(self.train) - sum(self.kept) if self.test is None else sum(self.test)

    def prepared(self, size: int) -> DataSize:
        """How large it is, prepared at ``size`` x ``size`` pixels."""
        return DataSize(self.channels, size, len(self.classes), sum(self.kept), self.tested)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is computed for each cell.

    Attributes:
        preset: of the configuration.
        width: channels of the networks.
        iterations: of every method that iterates; ``None``: the preset's.
    """

    preset: str
    width: int
    iterations: int | None = None


EFFORTS = (
    Effort(preset="paper", width=128),
    Effort(preset="fast", width=128, iterations=800),
    Effort(preset="fast", width=32, iterations=400),
    Effort(preset="demo", width=32),
    Effort(preset="demo", width=16),
    Effort(preset="smoke", width=16),
)
"""From the published settings to a few iterations of everything; ``smoke`` is taken where it is asked for, only."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A configuration and what it takes.

    Attributes:
        name: of the data set.
        own: the data.
        config: the configuration as nested mappings, valid.
        effort: how much is computed.
        size: side of the prepared images in pixels.
        jobs: jobs with a network at a time.
        seconds: estimated time of the whole run.
    """

    name: str
    own: OwnImages
    config: dict[str, Any]
    effort: Effort
    size: int
    jobs: int
    seconds: float


def draft(name: str, own: OwnImages, machine: Machine, *, preset: str | None, minutes: float | None) -> Draft:
    """The configuration with the most to it that runs within ``minutes``, or the one that takes least.

    Args:
        name: of the data set.
        own: the data.
        machine: where it runs.
        preset: the only one to choose from; ``None``: all but ``smoke``.
        minutes: of the whole run; ``None``: any time.

    Raises:
        BaconError: the configuration is not valid, which a name that is not allowed makes it.
    """
    least: Draft | None = None
    for effort, size, ipc, seeds in _choices(own, machine, preset):
        found = _drafted(name, own, machine, effort, size=size, ipc=ipc, seeds=seeds, minutes=minutes)
        if minutes is None or found.seconds <= 60 * minutes:
            return found
        if least is None or found.seconds < least.seconds:
            least = found
    assert least is not None, "there is always a choice"
    return least


def _choices(
    own: OwnImages, machine: Machine, preset: str | None
) -> Iterator[tuple[Effort, int, tuple[int, ...], int]]:
    """Effort, side in pixels, IPCs and number of seeds, the most first."""
    named = [effort for effort in EFFORTS if effort.preset == preset or (preset is None and effort.preset != "smoke")]
    for seeds in (1,) if preset == "smoke" else _SEEDS:
        for effort in named:
            for size in _sizes(own, machine):
                for ipc in _ipcs(own, effort):
                    yield effort, size, ipc, seeds


def _sizes(own: OwnImages, machine: Machine) -> tuple[int, ...]:
    """Sides to choose from, the largest first: none that enlarges images much, and not more pixels than a CPU can do."""
    most = _LARGEST["gpu" if machine.gpus else "cpu"]
    if own.square in _DEPTHS and own.square <= most:
        largest = own.square
    else:
        fitting = [side for side in _DEPTHS if side != 28 and side <= min(most, own.sides[1] * _ENLARGED_BY)]
        largest = max(fitting, default=min(_DEPTHS))
    smaller = [side for side in _DEPTHS if _SMALLEST_BY_CHOICE <= side < largest]
    return (largest, *sorted(smaller, reverse=True))


def _ipcs(own: OwnImages, effort: Effort) -> Iterator[tuple[int, ...]]:
    """Images per class. BACON packs four images into one, so that it takes four times as many of each class."""
    smallest = min(own.kept)
    larger = [ipc for ipc in (10, 5, 2) if ipc * _PARTS <= smallest][:1]
    if effort.preset == "paper" and smallest >= _LARGE_CLASS:
        yield (1, *larger, 50)
    if larger and effort.preset != "smoke":
        yield (1, *larger)
    yield (1,)


def _drafted(
    name: str,
    own: OwnImages,
    machine: Machine,
    effort: Effort,
    *,
    size: int,
    ipc: tuple[int, ...],
    seeds: int,
    minutes: float | None,
) -> Draft:
    config = {
        "preset": effort.preset,
        "grid": {"datasets": [name], "methods": list(METHODS), "ipc": list(ipc), "seeds": seeds},
        "data": {name: _data(own, size)},
        "datasets": {name: {"network": {"depth": _DEPTHS[size], "width": effort.width}}},
        "methods": _methods(own, effort),
    }
    sizes = {name: own.prepared(size)}
    if minutes is not None:
        _shorten_full_set(config, machine, sizes, 60 * minutes * _FULL_SHARE)
    jobs = _fit_memory(config, machine, sizes[name])
    plan = Plan(check_config(config))
    reading = own.read_seconds * (sum(own.train) + sum(own.test or ()))
    seconds = run_seconds(plan, replace(machine, cores=jobs) if not machine.gpus else machine, sizes, reading)
    return Draft(name=name, own=own, config=config, effort=effort, size=size, jobs=jobs, seconds=seconds)


def _data(own: OwnImages, size: int) -> dict[str, Any]:
    """The entry under ``data``: keys of other formats are errors, so each format has its own."""
    values: dict[str, Any] = {"format": own.format, "path": own.path, "title": own.title, "size": size}
    values["channels"] = own.channels
    if own.format == "imagefolder":
        values["corrupt_limit"] = own.unreadable
    if own.value_range is not None:
        values["value_range"] = list(own.value_range)
    if own.test is None:
        values["test_fraction"] = TEST_FRACTION
    return values


def _methods(own: OwnImages, effort: Effort) -> dict[str, Any]:
    """What the preset does not say: DM's iterations, the rate that goes with few, and classes of fewer than four."""
    dm: dict[str, Any] = {}
    bacon: dict[str, Any] = {}
    if effort.iterations is not None:
        few = {"iterations": effort.iterations, "snapshot_interval": effort.iterations // 4}
        dm |= few | {"batch_real": 64}
        bacon |= few | {"lr_img": 1.0}
    if min(own.kept) < _PARTS:
        bacon["partition"] = 1
    named = {"dm": dm, "bacon": bacon}
    return {method: {"distillation": values} for method, values in named.items() if values}


def _shorten_full_set(config: dict[str, Any], machine: Machine, sizes: dict[str, DataSize], most: float) -> None:
    """Fewer epochs on the full data set, the upper reference, where it would take longer than ``most`` seconds."""
    plan = Plan(check_config(config))
    usual = plan.settings(plan.references[0]).evaluation.epochs
    each = full_set_seconds(plan, machine, sizes) / usual
    epochs = next((count for count in _FULL_EPOCHS if count <= usual and count * each <= most), min(_FULL_EPOCHS))
    if epochs < usual:
        config["methods"] |= {"full": {"evaluation": {"epochs": epochs}}}


def _fit_memory(config: dict[str, Any], machine: Machine, size: DataSize) -> int:
    """Jobs at a time; where memory does not last for one on each core, fewer images at a time and then fewer jobs."""
    if machine.gpus:
        return machine.gpus
    allowed = machine.memory_mb * _MEMORY_SHARE
    for chunk in _CHUNKS:
        plan = Plan(check_config(config | {"run": {"chunk_images": chunk}}))
        each = max(job_memory_mb(plan, cell, size) for cell in plan.cells)
        if each * machine.cores <= allowed:
            break
    if chunk != _CHUNKS[0]:
        config["run"] = {"chunk_images": chunk}
    return max(1, min(machine.cores, int(allowed // each)))
