"""A distillation job: a cell of a plan on a leased device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from bacon.artifacts.checkpoint import CheckpointStore
from bacon.artifacts.distilled_file import copy_distilled, read_distilled
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.training_images import class_order
from bacon.distillation.cell_run import CellIdentity, CellJob, Running
from bacon.distillation.driver import distil_cell
from bacon.jobs.training_inputs import trained_runs
from bacon.methods.registry import METHODS
from bacon.plan.headers import read_header
from bacon.plan.plan import Plan
from bacon.runtime.atomic import remove_leftovers
from bacon.runtime.clocks import SharedClock
from bacon.runtime.devices import device_name, is_deterministic, lease_device, set_up_arithmetic
from bacon.runtime.energy import divided_use, measured_use
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import free_job_lock, job_lock
from bacon.runtime.logs import get_logger
from bacon.runtime.streams import has_streams
from bacon.runtime.used import Used
from bacon.settings.cells import Cell

log = get_logger(__name__)


def run_cell(plan: Plan, cell: Cell, *, data: Path, output: Path, threads: int) -> None:
    """Distil ``cell`` from the data set in ``data`` into ``output``; raises :class:`BaconError` on bad input."""
    identity = _identity(plan, cell)
    progress_path = plan.directory / cell.running_path("distill")
    with job_lock(_lock(plan, cell)) as waited:
        if waited and _is_whole(output, identity.fingerprint):
            log.info("%s has been made by the process that this one was waiting for", output)
            return
        for path in (output, progress_path):
            remove_leftovers(path.parent, path.name)
        if (same := plan.same_set(cell)) is not None:
            source = plan.directory / same.distilled_path
            copy_distilled(source, output, method=cell.method, expected_fingerprint=identity.fingerprint)
            log.info("%s is %s, which %s evaluates otherwise", output, source, cell.method)
            return
        run = plan.config.run
        set_up_arithmetic(threads, deterministic=run.deterministic)
        with lease_device(run.device, jobs_per_gpu=run.jobs_per_gpu) as device, measured_use(device) as use:
            clock = SharedClock()
            with clock():
                job = _job(plan, cell, data, device, clock, use)
                distil_cell(
                    job.identity,
                    job.settings,
                    job.algorithm,
                    data=data,
                    output=output,
                    device=device,
                    chunk_images=run.chunk_images,
                    placement=run.real_images,
                    running=job.running,
                    inputs=job.inputs,
                    others=[
                        partial(_beside, plan, other, data, device, clock, use) for other in other_seeds(plan, cell)
                    ],
                    places=_places(run.cells_at_once, device),
                )


def other_seeds(plan: Plan, cell: Cell) -> list[Cell]:
    """The cells of the grid that differ from ``cell`` in the seed alone and are distilled, those after it first.

    Not one that is distilled from the other form of the data set, as an override of its seed may say: they share the images.
    """
    alike = [
        other
        for other in plan.cells
        if (other.dataset, other.method, other.ipc) == (cell.dataset, cell.method, cell.ipc)
        and other != cell
        and plan.data_name(other) == plan.data_name(cell)
    ]
    return sorted((other for other in alike if plan.same_set(other) is None), key=lambda other: (other < cell, other))


def _places(cells_at_once: int, device: torch.device) -> int:
    """Cells beside a job's own. A scheduler gives each job a GPU of its own, so there the others' jobs are not kept waiting."""
    return cells_at_once - 1 if has_streams(device) and not os.environ.get("SLURM_JOB_ID") else 0


@contextmanager
def _beside(
    plan: Plan, cell: Cell, data: Path, device: torch.device, clock: SharedClock, use: Callable[[], Used]
) -> Iterator[CellJob | None]:
    """Take a cell to work on it beside another, unless it is made or some process has it."""
    with free_job_lock(_lock(plan, cell)) as is_ours:
        made = read_header(plan.directory / cell.distilled_path).fingerprint == plan.distilled_fingerprint(cell)
        if not is_ours or made:
            yield None
            return
        with clock():
            yield _job(plan, cell, data, device, clock, use)


def _job(
    plan: Plan, cell: Cell, data: Path, device: torch.device, clock: SharedClock, use: Callable[[], Used]
) -> CellJob:
    """What is needed to distil a cell; what a killed process left half written is removed."""
    identity = _identity(plan, cell)
    store = CheckpointStore(
        folder=plan.directory / cell.checkpoint_folder,
        fingerprint=identity.fingerprint,
        deterministic=is_deterministic(device),
    )
    remove_leftovers(store.own, "*")
    return CellJob(
        identity=identity,
        settings=plan.settings(cell),
        algorithm=_algorithm(plan, cell),
        running=_running(plan, store, plan.directory / cell.running_path("distill"), device_name(device), clock, use),
        inputs=_inputs(plan, cell, data),
    )


def _lock(plan: Plan, cell: Cell) -> Path:
    return (plan.directory / cell.running_path("distill")).with_suffix(".lock")


def _algorithm(plan: Plan, cell: Cell) -> str:
    algorithm = METHODS[plan.config.base_method(cell.method)].algorithm
    if cell.ipc is None or cell.seed is None or algorithm is None:
        raise BaconError(f"cell {cell}: the full data set is not distilled, only evaluated")
    return algorithm


def _identity(plan: Plan, cell: Cell) -> CellIdentity:
    _algorithm(plan, cell)
    assert cell.ipc is not None
    assert cell.seed is not None
    return CellIdentity(
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        fingerprint=plan.distilled_fingerprint(cell),
        data_fingerprint=plan.cell_data_fingerprint(cell),
    )


def _inputs(plan: Plan, cell: Cell, data: Path) -> dict[str, TrainedRuns]:
    """Name of each training need of the cell -> the networks trained for it; images are in class order, as the method's are."""
    needs = plan.needs(cell)
    order = class_order(data) if needs else None
    return {need.name: trained_runs(plan, cell, need, order=order) for need in needs}


def _running(
    plan: Plan,
    store: CheckpointStore,
    progress_path: Path,
    device: str,
    clock: SharedClock,
    use: Callable[[], Used],
) -> Running:
    run = plan.config.run
    return Running(
        checkpoints=store,
        heartbeat=Heartbeat(
            progress_path,
            fingerprint=store.fingerprint,
            device=device,
            interval=run.progress_seconds,
            use=divided_use(use, clock.now),
            clock=clock.now,
        ),
        checkpoint_seconds=run.checkpoint_seconds,
        progress_seconds=run.progress_seconds,
    )


def _is_whole(output: Path, fingerprint: str) -> bool:
    try:
        read_distilled(output, expected_fingerprint=fingerprint)
    except BaconError:
        return False
    return True
