"""A distillation job: a cell of a plan on a leased device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bacon.artifacts.checkpoint import CheckpointStore
from bacon.artifacts.distilled_file import copy_distilled, read_distilled
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.training_images import class_order
from bacon.distillation.driver import CellIdentity, Running, distil_cell
from bacon.jobs.training_inputs import trained_runs
from bacon.methods.registry import METHODS
from bacon.plan.plan import Plan
from bacon.runtime.atomic import remove_leftovers
from bacon.runtime.devices import device_name, is_deterministic, lease_device, set_up_arithmetic
from bacon.runtime.energy import measured_use
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import job_lock
from bacon.runtime.logs import get_logger
from bacon.runtime.used import Used
from bacon.settings.cells import Cell

log = get_logger(__name__)


def run_cell(plan: Plan, cell: Cell, *, data: Path, output: Path, threads: int) -> None:
    """Distil ``cell`` from the data set in ``data`` into ``output``; raises :class:`BaconError` on bad input."""
    algorithm = METHODS[plan.config.base_method(cell.method)].algorithm
    if cell.ipc is None or cell.seed is None or algorithm is None:
        raise BaconError(f"cell {cell}: the full data set is not distilled, only evaluated")
    identity = CellIdentity(
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        fingerprint=plan.distilled_fingerprint(cell),
        data_fingerprint=plan.data_fingerprint(cell.dataset),
    )
    progress_path = plan.directory / cell.running_path("distill")
    with job_lock(progress_path.with_suffix(".lock")) as waited:
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
        set_up_arithmetic(threads, deterministic=plan.config.run.deterministic)
        leased = lease_device(plan.config.run.device, jobs_per_gpu=plan.config.run.jobs_per_gpu)
        with leased as device, measured_use(device) as use:
            store = CheckpointStore(
                folder=plan.directory / cell.checkpoint_folder,
                fingerprint=identity.fingerprint,
                deterministic=is_deterministic(device),
            )
            remove_leftovers(store.own, "*")
            distil_cell(
                identity,
                plan.settings(cell),
                algorithm,
                data=data,
                output=output,
                device=device,
                chunk_images=plan.config.run.chunk_images,
                placement=plan.config.run.real_images,
                running=_running(plan, store, progress_path, device_name(device), use),
                inputs=_inputs(plan, cell, data),
            )


def _inputs(plan: Plan, cell: Cell, data: Path) -> dict[str, TrainedRuns]:
    """Name of each training need of the cell -> the networks trained for it; images are in class order, as the method's are."""
    needs = plan.needs(cell)
    order = class_order(data) if needs else None
    return {need.name: trained_runs(plan, cell.dataset, need, order=order) for need in needs}


def _running(plan: Plan, store: CheckpointStore, progress_path: Path, device: str, use: Callable[[], Used]) -> Running:
    run = plan.config.run
    return Running(
        checkpoints=store,
        heartbeat=Heartbeat(
            progress_path, fingerprint=store.fingerprint, device=device, interval=run.progress_seconds, use=use
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
