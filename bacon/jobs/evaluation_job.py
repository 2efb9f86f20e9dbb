"""An evaluation job: the networks of one cell of a plan, on a leased device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bacon.config.layering import protocol_name
from bacon.evaluation.evaluate_cell import evaluate_distilled, evaluate_full
from bacon.evaluation.trained_networks import EvaluationFingerprints, EvaluationJob
from bacon.jobs.training_inputs import trained_runs
from bacon.plan.plan import Plan
from bacon.runtime.atomic import remove_leftovers
from bacon.runtime.devices import device_name, is_deterministic, lease_device, set_up_arithmetic
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import job_lock
from bacon.settings.cells import FREE_RECORDS, RECORDS, Cell

if TYPE_CHECKING:
    import torch


def run_evaluation(
    plan: Plan, cell: Cell, network: str, *, data: Path, images: Path | None, output: Path, threads: int
) -> None:
    """Evaluate ``cell`` with ``network`` and write its records.

    Args:
        plan: the plan the cell belongs to.
        cell: the cell; ``DATASET/full`` for the full training set.
        network: name of the evaluation network.
        data: the preprocessed data set.
        images: the distilled set; ``None`` for the full training set.
        output: the evaluation file to write.
        threads: CPU threads.

    Raises:
        BaconError: an input is missing, damaged or not the one that the plan asks for.
    """
    reference = cell.ipc is None
    if reference != (images is None):
        raise BaconError(f"cell {cell}: --images names a cell's distilled set; the full data set has none")
    fingerprints = EvaluationFingerprints(
        rule=plan.evaluation_fingerprint(cell, network),
        record=plan.record_fingerprint(cell, network),
        augmentations=plan.augmentation_code(cell, network),
        data=plan.data_fingerprint(cell.dataset),
        distilled=None if reference else plan.distilled_fingerprint(cell),
    )
    progress_path = plan.directory / cell.running_path(network)
    with job_lock(progress_path.with_suffix(".lock")):
        for path in (output, progress_path):
            remove_leftovers(path.parent, path.name)
        set_up_arithmetic(threads, deterministic=plan.config.run.deterministic)
        with lease_device(plan.config.run.device, jobs_per_gpu=plan.config.run.jobs_per_gpu) as device:
            job = _job(plan, cell, network, fingerprints=fingerprints, progress_path=progress_path, device=device)
            if images is None:
                trained = {
                    name: trained_runs(plan, cell.dataset, need)
                    for name, need in plan.full_set_needs(cell, network).items()
                }
                evaluate_full(job, data_path=data, output=output, trained=trained)
            else:
                evaluate_distilled(job, distilled_path=images, data_path=data, output=output)
        progress_path.unlink(missing_ok=True)


def _job(
    plan: Plan,
    cell: Cell,
    network: str,
    *,
    fingerprints: EvaluationFingerprints,
    progress_path: Path,
    device: torch.device,
) -> EvaluationJob:
    seconds = plan.config.run.progress_seconds
    return EvaluationJob(
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        network_name=network,
        network=plan.evaluation_network(cell, network),
        evaluation=plan.settings(cell).evaluation,
        protocol=protocol_name(plan.config, cell.method),
        fingerprints=fingerprints,
        # Networks of the two are told apart, so that a file holds those of one.
        cache=plan.directory / (RECORDS if is_deterministic(device) else FREE_RECORDS),
        device=device,
        placement=plan.config.run.real_images,
        teachers=tuple(trained_runs(plan, cell.dataset, need) for need in plan.teachers(cell)),
        progress_seconds=seconds,
        at_once=plan.config.run.networks_at_once,
        heartbeat=Heartbeat(progress_path, fingerprint=fingerprints.rule, device=device_name(device), interval=seconds),
    )
