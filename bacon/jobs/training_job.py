"""A training job: a block of networks of a plan that are trained on the real set, on a leased device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bacon.artifacts.checkpoint import CheckpointStore
from bacon.plan.plan import Plan
from bacon.runtime.atomic import remove_leftovers
from bacon.runtime.devices import device_name, is_deterministic, lease_device, set_up_arithmetic
from bacon.runtime.energy import measured_use
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import job_lock
from bacon.settings.cells import RunBlock
from bacon.training.run_driver import BlockJob, train_block


def run_training(plan: Plan, block: RunBlock, *, data: Path, output: Path, threads: int) -> None:
    """Train the runs of ``block`` on the data set in ``data`` and write their files and the index ``output``.

    Raises:
        BaconError: the plan has no such training, or bad input.
    """
    training = plan.training(block.dataset, block.training)
    progress_path = plan.directory / block.running_path
    run = plan.config.run
    with job_lock(progress_path.with_suffix(".lock")):
        for folder, name in (
            (output.parent, output.name),
            *((output.parent, block.run_path(number).name) for number in block.runs),
            (progress_path.parent, progress_path.name),
        ):
            remove_leftovers(folder, name)
        set_up_arithmetic(threads, deterministic=run.deterministic)
        with lease_device(run.device, jobs_per_gpu=run.jobs_per_gpu) as device, measured_use(device) as use:
            store = CheckpointStore(
                folder=plan.directory / block.checkpoint_folder,
                fingerprint=training.block_fingerprint(block),
                deterministic=is_deterministic(device),
            )
            remove_leftovers(store.own, "*")
            train_block(
                BlockJob(
                    # Files name the data set, and tell its two forms apart by the fingerprint.
                    block=replace(block, dataset=plan.prepared_set(block.dataset).dataset),
                    need=training.need,
                    fingerprint=training.fingerprint,
                    block_fingerprint=store.fingerprint,
                    data_fingerprint=plan.data_fingerprint(block.dataset),
                    data=data,
                    output=output,
                    device=device,
                    placement=run.real_images,
                    # On a CPU one network takes all threads; several would share its caches for nothing.
                    at_once=run.runs_at_once if device.type == "cuda" else 1,
                    checkpoints=store,
                    heartbeat=Heartbeat(
                        progress_path,
                        fingerprint=store.fingerprint,
                        device=device_name(device),
                        interval=run.progress_seconds,
                        use=use,
                    ),
                    checkpoint_seconds=run.checkpoint_seconds,
                    progress_seconds=run.progress_seconds,
                )
            )
