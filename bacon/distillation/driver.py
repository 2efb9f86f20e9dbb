"""Compute one cell: read its data, run its method's algorithm, write its artifact. Knows no method."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.distilled_file import DistillationResult, write_distilled
from bacon.artifacts.trained_runs import TrainedRuns, training_costs
from bacon.datasets.training_images import read_training
from bacon.distillation.algorithm import Algorithm, Context, load_algorithm
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.divergence import Divergence, largest_pixel
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.runtime.devices import device_name, is_deterministic
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.host_rows import Placement
from bacon.runtime.logs import get_logger
from bacon.runtime.memory import give_back_freed_memory
from bacon.runtime.progress import Progress
from bacon.runtime.provenance import peak_memory_bytes, provenance
from bacon.runtime.signals import Stop, deferred_stop
from bacon.settings.cells import Cell
from bacon.training.run_networks import at_chance

if TYPE_CHECKING:
    from bacon.settings.cell_settings import CellSettings
    from bacon.settings.distillation import DistillationSettings

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class CellIdentity:
    """Which cell is computed, and the fingerprints that its artifact and its data must carry."""

    dataset: str
    method: str
    ipc: int
    seed: int
    fingerprint: str
    data_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Running:
    """How a job runs; nothing here changes a number.

    Attributes:
        checkpoints: where its state is kept while it runs.
        heartbeat: says how far it is, and counts the wall time of all its parts.
        checkpoint_seconds: seconds between checkpoints.
        progress_seconds: seconds between progress lines in a log.
    """

    checkpoints: CheckpointStore
    heartbeat: Heartbeat
    checkpoint_seconds: float
    progress_seconds: float


def distil_cell(
    identity: CellIdentity,
    settings: CellSettings,
    algorithm: str,
    *,
    data: Path,
    output: Path,
    device: torch.device,
    chunk_images: int = 2048,
    placement: Placement = "auto",
    running: Running,
    inputs: Mapping[str, TrainedRuns] | None = None,
) -> None:
    """Compute a cell and write its artifact atomically.

    Args:
        identity: the cell and its fingerprints.
        settings: its resolved settings.
        algorithm: ``module:Class`` of its method's algorithm.
        data: the preprocessed data set; refused when its fingerprint is not the one expected.
        output: where the distilled set is written.
        device: where it is computed.
        chunk_images: images embedded at a time.
        placement: where the real images are kept.
        running: progress, checkpoints and the time of earlier parts.
        inputs: name of each of the cell's training needs -> the networks trained for it.
    """
    trained = dict(inputs or {})
    dataset = read_training(data, expected_fingerprint=identity.data_fingerprint)
    real, whitening = RealImages(dataset, device=device, placement=placement), dataset.whitening
    about = {"class_names": list(dataset.class_names), "mean": list(dataset.mean), "std": list(dataset.std)}
    del dataset  # on a GPU, its images are there now, unless they stay on the host
    cell = Cell(identity.dataset, identity.method, identity.ipc, identity.seed)
    context = Context(
        cell=cell,
        real=real,
        network=settings.network,
        memory=MemoryLimit(chunk_images),
        inputs=trained,
        data_fingerprint=identity.data_fingerprint,
    )
    divergence = Divergence(largest_pixel(real))
    engine = _engine(load_algorithm(algorithm, settings.distillation, context), settings, running, divergence, context)
    _run(engine, str(cell), running)
    seconds, used = running.heartbeat.seconds(), running.heartbeat.used()
    result = DistillationResult(
        synthetic=engine.synthetic(),
        snapshots=engine.snapshots,
        history=engine.history.arrays() if engine.algorithm.terms else {},
        attributes=about
        | _attributes(identity, settings, device, seconds)
        | used.energy()
        | {"peak_memory_bytes": max(used.peak_memory_bytes, peak_memory_bytes(device))}
        | _training_attributes(trained, real)
        | ({} if divergence.found is None else {"divergence": divergence.found}),
        whitening=whitening,
    )
    write_distilled(output, result)
    running.checkpoints.remove()
    running.heartbeat.remove()
    log.info("wrote %s: %d images in %.1f s", output, len(result.synthetic), seconds)


def _engine(
    algorithm: Algorithm, settings: CellSettings, running: Running, divergence: Divergence, context: Context
) -> Engine:
    assert settings.distillation is not None, "the full data set is not distilled"
    lower = _lower(context.cell, settings.distillation)

    def warn(seen: str) -> None:
        log.warning("%s: it diverges, and its accuracy will be that of noise: %s. Lower %s", context.cell, seen, lower)

    return Engine(
        algorithm,
        device=context.device,
        keep=settings.distillation.snapshot_iterations(),
        snapshots=running.checkpoints.snapshots,
        divergence=divergence,
        diverged=warn,
    )


def _lower(cell: Cell, settings: DistillationSettings) -> str:
    """The keys of a method's learning rates, with their values."""
    rates = {name: value for name, value in settings.model_dump().items() if name.startswith("lr")}
    keys = [
        f"methods.{cell.method}.distillation.{name} ({value:g})"
        for name, value in rates.items()
        if isinstance(value, int | float) and not name.endswith(("_interval", "_factor"))
    ]
    return " or ".join(keys) or "the method's learning rate"


def _run(engine: Engine, title: str, running: Running) -> None:
    """From the newest checkpoint, or the beginning, to the last iteration."""
    iterations = engine.algorithm.iterations
    if iterations:
        _resume(engine, running)
    with (
        Progress(
            title,
            iterations,
            seconds=running.progress_seconds,
            done=engine.iteration,
            heartbeat=running.heartbeat,
        ) as progress,
        deferred_stop() as stop,
    ):
        engine.run(progress, _checkpointing(engine, running, stop))


def _resume(engine: Engine, running: Running) -> None:
    """Go on from the newest checkpoint, if there is one; its own copy of the state is let go of."""
    kept = running.checkpoints.load(engine.device)
    if kept is not None:
        engine.load_state_dict(kept.state)
        log.info("resumed at iteration %d, after %.1f s", kept.iteration, running.heartbeat.earlier_seconds)
        del kept
        give_back_freed_memory()


def _checkpointing(engine: Engine, running: Running, stop: Stop) -> Callable[[], None]:
    """What the engine calls after every iteration: a checkpoint now and then, and at a request to stop."""
    last = time.monotonic()

    def after_iteration() -> None:
        nonlocal last
        due = time.monotonic() - last >= running.checkpoint_seconds
        if not due and stop.number is None:
            return
        # A state that has diverged must not be resumed from: the last good one stays.
        engine.check()
        iteration, seconds = engine.iteration, running.heartbeat.seconds()
        running.checkpoints.save(Checkpoint(iteration=iteration, seconds=seconds, state=engine.state_dict()))
        give_back_freed_memory()
        last = time.monotonic()
        if stop.number is not None:
            log.info("stopped by signal %d at iteration %d; the next run continues", stop.number, iteration)
            sys.exit(stop.exit_status())

    return after_iteration


def _training_attributes(inputs: Mapping[str, TrainedRuns], real: RealImages) -> dict[str, Any]:
    """Fingerprints and cost of the networks that a cell was distilled with, and which of them are at chance level."""
    if not inputs:
        return {}
    weak = [
        f"run {run} of {name} ({runs.key})"
        for name, runs in inputs.items()
        for run in range(len(runs))
        if at_chance(runs, run, classes=real.classes, images=len(real.labels))
    ]
    prints: dict[str, Any] = {"training_fingerprints": {runs.key: runs.fingerprint for runs in inputs.values()}}
    prints["training_costs"] = training_costs(inputs.values())
    return prints | ({"at_chance": ", ".join(weak)} if weak else {})


def _attributes(identity: CellIdentity, settings: CellSettings, device: torch.device, seconds: float) -> dict[str, Any]:
    iterations = settings.distillation.iteration_count() if settings.distillation is not None else 0
    return {
        "dataset": identity.dataset,
        "method": identity.method,
        "ipc": identity.ipc,
        "seed": identity.seed,
        "fingerprint": identity.fingerprint,
        "data_fingerprint": identity.data_fingerprint,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "iterations": iterations,
        "wall_seconds": seconds,
        "iterations_per_second": iterations / seconds,
        "device": device_name(device),
        "provenance": provenance(device_name(device), deterministic=is_deterministic(device)),
    }
