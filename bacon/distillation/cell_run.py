"""A cell while it is distilled: its engine, from the newest checkpoint to the end, with progress and checkpoints of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.divergence import Divergence, largest_pixel
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.logs import get_logger
from bacon.runtime.memory import give_back_freed_memory
from bacon.runtime.progress import Progress
from bacon.runtime.signals import Stop
from bacon.settings.cells import Cell

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


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """What is needed to distil a cell, besides the real images.

    Attributes:
        identity: the cell and its fingerprints.
        settings: its resolved settings.
        algorithm: ``module:Class`` of its method's algorithm.
        running: progress, checkpoints and the time of earlier parts.
        inputs: name of each of the cell's training needs -> the networks trained for it.
    """

    identity: CellIdentity
    settings: CellSettings
    algorithm: str
    running: Running
    inputs: Mapping[str, TrainedRuns] = field(default_factory=dict)

    @property
    def cell(self) -> Cell:
        """Which one."""
        about = self.identity
        return Cell(about.dataset, about.method, about.ipc, about.seed)


class CellRun:
    """A cell's distillation.

    Args:
        job: the cell.
        real: the real images, which several cells may share.
        chunk_images: images embedded at a time.
        make_way: gives up what other cells take of the device's memory, and says whether there was anything.

    Attributes:
        engine: what is iterated.
        divergence: what watches it.
    """

    def __init__(
        self, job: CellJob, real: RealImages, *, chunk_images: int, make_way: Callable[[], bool] = lambda: False
    ) -> None:
        settings = job.settings
        assert settings.distillation is not None, "the full data set is not distilled"
        self.job, self.divergence = job, Divergence(largest_pixel(real))
        context = Context(
            cell=job.cell,
            real=real,
            network=settings.network,
            memory=MemoryLimit(chunk_images, make_way),
            inputs=job.inputs,
            data_fingerprint=job.identity.data_fingerprint,
        )
        self.engine = Engine(
            load_algorithm(job.algorithm, settings.distillation, context),
            device=context.device,
            keep=settings.distillation.snapshot_iterations(),
            snapshots=job.running.checkpoints.snapshots,
            divergence=self.divergence,
            diverged=self._warn,
        )

    def turns(self, stop: Stop | None = None, *, bar: bool = True) -> Generator[None]:
        """Distil from the newest checkpoint, or the beginning, to the last iteration; yields after each.

        Args:
            stop: a request to stop, at which a checkpoint is written and the process ends.
            bar: show a bar on a terminal.
        """
        engine, running = self.engine, self.job.running
        if engine.algorithm.iterations:
            self._resume()
        progress = Progress(
            str(self.job.cell),
            engine.algorithm.iterations,
            seconds=running.progress_seconds,
            done=engine.iteration,
            heartbeat=running.heartbeat,
            bar=bar,
        )
        with progress:
            yield from engine.turns(progress, self._checkpointing(stop))

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            BaconError: something is not finite; a state that has diverged must not be resumed from.
        """
        running, engine = self.job.running, self.engine
        engine.check()
        seconds = running.heartbeat.seconds()
        running.checkpoints.save(Checkpoint(iteration=engine.iteration, seconds=seconds, state=engine.state_dict()))
        give_back_freed_memory()

    def _resume(self) -> None:
        """Go on from the newest checkpoint, if there is one; its own copy of the state is let go of."""
        running, engine = self.job.running, self.engine
        kept = running.checkpoints.load(engine.device)
        if kept is not None:
            engine.load_state_dict(kept.state)
            log.info("resumed at iteration %d, after %.1f s", kept.iteration, running.heartbeat.earlier_seconds)
            del kept
            give_back_freed_memory()

    def _checkpointing(self, stop: Stop | None) -> Callable[[], None]:
        """What the engine calls after every iteration: a checkpoint now and then, and at a request to stop."""
        last = time.monotonic()

        def after_iteration() -> None:
            nonlocal last
            due = time.monotonic() - last >= self.job.running.checkpoint_seconds
            stops = stop is not None and stop.number is not None
            if not due and not stops:
                return
            self.save()
            last = time.monotonic()
            if stop is not None and stop.number is not None:
                iteration = self.engine.iteration
                log.info("stopped by signal %d at iteration %d; the next run continues", stop.number, iteration)
                sys.exit(stop.exit_status())

        return after_iteration

    def _warn(self, seen: str) -> None:
        assert self.job.settings.distillation is not None, "it is distilled"
        lower = _lower(self.job.cell, self.job.settings.distillation)
        log.warning("%s: it diverges, and its accuracy will be that of noise: %s. Lower %s", self.job.cell, seen, lower)


def _lower(cell: Cell, settings: DistillationSettings) -> str:
    """The keys of a method's learning rates, with their values."""
    rates = {name: value for name, value in settings.model_dump().items() if name.startswith("lr")}
    keys = [
        f"methods.{cell.method}.distillation.{name} ({value:g})"
        for name, value in rates.items()
        if isinstance(value, int | float) and not name.endswith(("_interval", "_factor"))
    ]
    return " or ".join(keys) or "the method's learning rate"
