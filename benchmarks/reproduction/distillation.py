"""Distil a cell for some seconds, going on where the last call ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.training_images import class_order, read_training
from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.divergence import Divergence, largest_pixel
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.jobs.training_inputs import trained_runs
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress
from bacon.runtime.provenance import peak_memory_bytes
from benchmarks.machine import synchronise
from benchmarks.reproduction.target import Target

log = get_logger(__name__)

_SAVE_SECONDS = 60.0
_LOOK_SECONDS = 0.5
"""Time between two looks at the clock that wait for the device."""


class _TimeIsUpError(Exception):
    """The seconds of a call are over."""


@dataclass(kw_only=True)
class Clock:
    """What a distillation has taken so far, in all calls.

    Attributes:
        seconds: of all iterations, the first of each call included.
        steady_seconds: without the first iteration of each call, in which kernels are compiled and chosen.
        steady_iterations: iterations in these.
        setup_seconds: reading the data set, and making the initial images; of the longest call.
        peak_bytes: peak memory.
    """

    seconds: float = 0.0
    steady_seconds: float = 0.0
    steady_iterations: int = 0
    setup_seconds: float = 0.0
    peak_bytes: int = 0

    def per_iteration(self, iterations: int) -> float:
        """Seconds; of the first iteration where there is no other."""
        if self.steady_iterations:
            return self.steady_seconds / self.steady_iterations
        return self.seconds / max(iterations, 1)


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A distillation as far as it is.

    Attributes:
        iteration: reached.
        total: iterations of the whole cell; 0: real images are chosen.
        images: iteration -> synthetic set, of the last one and those that were asked for and passed.
        passed: iterations that were asked for too late: an earlier call went past them without keeping its images.
        clock: what it has taken.
        divergence: what was seen when the numbers ran off.
    """

    iteration: int
    total: int
    images: Mapping[int, SyntheticSet]
    passed: tuple[int, ...] = ()
    clock: Clock = field(default_factory=Clock)
    divergence: str | None = None

    @property
    def whole_seconds(self) -> float:
        """Seconds of the whole cell: measured where it is finished, otherwise from those per iteration."""
        if self.iteration == self.total:
            return self.clock.seconds
        return self.clock.seconds + (self.total - self.iteration) * self.clock.per_iteration(self.iteration)


def distil(target: Target, device: torch.device, *, seconds: float, at: Sequence[int]) -> Reached:
    """Distil a cell for ``seconds`` more, or to its end.

    Args:
        target: the cell; the networks that it needs are trained.
        device: where.
        seconds: of iterations, in this call.
        at: iterations whose images are kept for evaluation.

    Raises:
        BaconError: an input is damaged, or the numbers are not finite.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    run = _Run(target, device, seconds=seconds, at=at)
    synchronise(device)
    run.clock.setup_seconds = max(run.clock.setup_seconds, time.perf_counter() - started)
    run.go_on()
    engine = run.engine
    wanted = [iteration for iteration in at if iteration <= engine.iteration]
    kept = {iteration for iteration in wanted if iteration in engine.snapshots} | {engine.iteration}
    return Reached(
        iteration=engine.iteration,
        total=engine.algorithm.iterations,
        images={iteration: engine.snapshots[iteration] for iteration in sorted(kept)},
        passed=tuple(iteration for iteration in wanted if iteration not in kept),
        clock=run.clock,
        divergence=None if engine.divergence is None else engine.divergence.found,
    )


class _Run:
    """One call's part of a distillation."""

    def __init__(self, target: Target, device: torch.device, *, seconds: float, at: Sequence[int]) -> None:
        self.target, self.device, self._limit = target, device, seconds
        plan, cell = target.plan, target.cell
        self.store = CheckpointStore(
            folder=plan.directory / cell.checkpoint_folder, fingerprint=plan.distilled_fingerprint(cell)
        )
        self.engine = _engine(target, device, self.store, at)
        self.clock = Clock()
        kept = self.store.load(device)
        if kept is not None:
            self.engine.load_state_dict(kept.state)
            self.clock = Clock(**kept.state["clock"])
        self._first = True

    def go_on(self) -> None:
        """Iterate until the time is up or the end is reached; keep the images of then, and save."""
        engine = self.engine
        self._begun = self._mark = self._saved = time.perf_counter()
        self._marked = engine.iteration
        total = engine.algorithm.iterations
        if not total:
            self._select()
        elif engine.iteration < total:
            try:
                with Progress(str(self.target.cell), total, seconds=30.0, done=engine.iteration) as progress:
                    engine.run(progress, self._after_iteration)
            except _TimeIsUpError:
                engine.check()
        self._look()
        self.clock.peak_bytes = max(self.clock.peak_bytes, peak_memory_bytes(self.device))
        if engine.iteration not in engine.snapshots:
            engine.snapshots[engine.iteration] = engine.synthetic()
        self._save()

    def _select(self) -> None:
        """Choose real images, unless an earlier call has: the time of a selection."""
        if 0 not in self.engine.snapshots:
            self.engine.snapshots[0] = self.engine.synthetic()
            synchronise(self.device)
            self.clock.seconds += time.perf_counter() - self._begun
            self._mark = time.perf_counter()

    def _after_iteration(self) -> None:
        now = time.perf_counter()
        if self._first or now - self._mark >= _LOOK_SECONDS or now - self._begun >= self._limit:
            self._look()
            if time.perf_counter() - self._begun >= self._limit:
                raise _TimeIsUpError
        if now - self._saved >= _SAVE_SECONDS:
            self._look()
            self.engine.check()
            self._save()
            self._mark = self._saved = time.perf_counter()

    def _look(self) -> None:
        """Wait for the device and book the time since the last look."""
        synchronise(self.device)
        now, iterations = time.perf_counter(), self.engine.iteration - self._marked
        if iterations:
            self.clock.seconds += now - self._mark
            if not self._first:
                self.clock.steady_seconds += now - self._mark
                self.clock.steady_iterations += iterations
            self._first = False
        self._mark, self._marked = now, self.engine.iteration

    def _save(self) -> None:
        engine = self.engine
        state: dict[str, Any] = engine.state_dict() | {"clock": vars(self.clock).copy()}
        self.store.save(Checkpoint(iteration=engine.iteration, seconds=self.clock.seconds, state=state))


def _engine(target: Target, device: torch.device, store: CheckpointStore, at: Sequence[int]) -> Engine:
    """What distils the cell, before its first iteration, as the workflow's job makes it."""
    plan, cell, settings = target.plan, target.cell, target.settings
    dataset = read_training(target.data, expected_fingerprint=plan.cell_data_fingerprint(cell))
    real, needs = RealImages(dataset, device=device), plan.needs(cell)
    order = class_order(target.data) if needs else None
    context = Context(
        cell=cell,
        real=real,
        network=settings.network,
        memory=MemoryLimit(plan.config.run.chunk_images),
        inputs={need.name: trained_runs(plan, cell, need, order=order) for need in needs},
        data_fingerprint=plan.cell_data_fingerprint(cell),
    )
    assert target.method.algorithm is not None, "a cell with an IPC is distilled"
    return Engine(
        load_algorithm(target.method.algorithm, settings.distillation, context),
        device=device,
        keep=at,
        snapshots=store.snapshots,
        divergence=Divergence(largest_pixel(real)),
        diverged=lambda seen: log.warning("%s diverges: %s", cell, seen),
    )
