"""A job of a downstream task: one cell of a plan with one evaluation network, on a leased device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bacon.downstream.registry import TASKS
from bacon.downstream.run_task import TaskJob, run_task
from bacon.jobs.evaluation_job import evaluation_of
from bacon.jobs.training_inputs import trained_runs
from bacon.plan.plan import Plan
from bacon.runtime.atomic import remove_leftovers
from bacon.runtime.devices import device_name, is_deterministic, lease_device, set_up_arithmetic
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import job_lock
from bacon.settings.cells import FREE_NETWORKS, FREE_TASK_RECORDS, NETWORKS, SHARED, TASK_RECORDS, Cell

if TYPE_CHECKING:
    import torch


def run_downstream(
    plan: Plan, task: str, cell: Cell, network: str, *, data: Path, images: Path | None, output: Path, threads: int
) -> None:
    """Run a task on ``cell`` and write its results.

    Args:
        plan: the plan that the cell belongs to.
        task: name of the task.
        cell: the cell; ``DATASET/full`` for the full data set.
        network: name of the evaluation network; empty for a task that is run once for each cell.
        data: the prepared data set.
        images: the distilled set; ``None`` for the full data set.
        output: the file to write.
        threads: CPU threads.

    Raises:
        BaconError: an input is missing, damaged or not the one that the plan asks for, or the task cannot be done.
    """
    if (cell.ipc is None) != (images is None):
        raise BaconError(f"cell {cell}: --images names a cell's distilled set; the full data set has none")
    run, progress_path = plan.config.run, plan.directory / cell.downstream_running(task, network)
    with job_lock(progress_path.with_suffix(".lock")):
        for path in (output, progress_path):
            remove_leftovers(path.parent, path.name)
        set_up_arithmetic(threads, deterministic=run.deterministic)
        with lease_device(run.device, jobs_per_gpu=run.jobs_per_gpu) as device:
            heartbeat = Heartbeat(
                progress_path,
                fingerprint=plan.tasks.fingerprint(task, cell, network),
                device=device_name(device),
                interval=run.progress_seconds,
            )
            job = _task_job(plan, task, cell, network, heartbeat=heartbeat, device=device)
            run_task(job, distilled_path=images, data_path=data, output=output)
        progress_path.unlink(missing_ok=True)


def _task_job(
    plan: Plan, task: str, cell: Cell, network: str, *, heartbeat: Heartbeat, device: torch.device
) -> TaskJob:
    tasks, kept = plan.tasks, is_deterministic(device)
    full = tasks.full_set_need(task, cell, network)
    return TaskJob(
        task=TASKS[task],
        settings=tasks.settings(task),
        evaluation=evaluation_of(plan, cell, tasks.network(network), device=device, heartbeat=heartbeat),
        fingerprint=tasks.fingerprint(task, cell, network),
        result=tasks.result_fingerprint(task, cell, network),
        repetitions=tasks.repetitions(task, cell),
        # Those of the two kinds are told apart, so that a file holds those of one.
        cache=plan.directory / (TASK_RECORDS if kept else FREE_TASK_RECORDS),
        kept=plan.directory / (NETWORKS if kept else FREE_NETWORKS),
        shared=plan.directory / SHARED,
        own=tasks.augmentation_digest(cell, network),
        inputs={need.name: trained_runs(plan, cell, need) for need in tasks.needs(task, cell, network)},
        trained=None if full is None else trained_runs(plan, cell, full),
        content=tasks.content(task, cell, network),
    )
