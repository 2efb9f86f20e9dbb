"""An evaluation job: the networks of one cell of a plan, on a leased device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.artifacts.evaluation_index import evaluation_fingerprint, write_index
from bacon.config.layers import protocol_name
from bacon.evaluation.evaluate_cell import evaluate_distilled, evaluate_full
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.jobs.training_inputs import trained_runs
from bacon.plan.plan import Plan
from bacon.runtime.atomic import remove_leftovers
from bacon.runtime.devices import device_name, is_deterministic, lease_device, set_up_arithmetic
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import job_lock
from bacon.runtime.logs import get_logger
from bacon.runtime.provenance import provenance
from bacon.settings.cells import EVALUATE, FREE_RECORDS, RECORDS, Cell

if TYPE_CHECKING:
    import torch

log = get_logger(__name__)


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
    fingerprint = plan.evaluation_fingerprint(cell, network)
    with _job(plan, cell, network, fingerprint, output=output, images=images, threads=threads) as (device, heartbeat):
        _evaluate(
            plan, cell, network, data=data, images=images, output=output, device=device,
            heartbeat=heartbeat,
        )  # fmt: skip


def run_evaluations(plan: Plan, cell: Cell, *, data: Path, images: Path | None, output: Path, threads: int) -> None:
    """Evaluate ``cell`` under every protocol of the plan with every network, and write the index of the files.

    A file that is there and right stays as it is, so that a protocol more, or another setting of one, trains the networks of
    that protocol alone. A protocol that fails does not keep the others from being evaluated.

    Args:
        plan: the plan the cell belongs to; of several protocols.
        cell: the cell; ``DATASET/full`` for the full training set.
        data: the preprocessed data set.
        images: the distilled set; ``None`` for the full training set.
        output: the index to write; the evaluation files lie below its folder, named by the plan.
        threads: CPU threads.

    Raises:
        BaconError: an input is missing, damaged or not the one that the plan asks for, or networks of a protocol could not be
            trained: a line for each.
    """
    below = cell.evaluations_path.parent
    wanted = [
        (each, network, output.parent / each.evaluation_path(cell, network).relative_to(below))
        for each in plan.protocols.values()
        for network in plan.networks
    ]
    failed: list[str] = []
    fingerprint = plan.evaluations_fingerprint(cell)
    with _job(plan, cell, EVALUATE, fingerprint, output=output, images=images, threads=threads) as (device, beat):
        left = [one for one in wanted if evaluation_fingerprint(one[2]) != one[0].evaluation_fingerprint(cell, one[1])]
        log.info("%s: %d evaluations, %d of them already there", cell, len(wanted), len(wanted) - len(left))
        for place, (each, network, path) in enumerate(left):
            try:
                _evaluate(
                    each, cell, network, data=data, images=images, output=path, device=device,
                    heartbeat=beat.part(place, len(left)),
                )  # fmt: skip
            except BaconError as error:
                failed.append(f"protocol {each.config.protocol}, {network}: {error}")
        if failed:
            raise BaconError("\n".join(failed))
        content = {
            "fingerprint": fingerprint,
            "dataset": cell.dataset,
            "method": cell.method,
            "ipc": cell.ipc,
            "seed": cell.seed,
            "data_fingerprint": plan.cell_data_fingerprint(cell),
            "distilled_fingerprint": None if cell.ipc is None else plan.distilled_fingerprint(cell),
            "provenance": provenance(device_name(device), deterministic=is_deterministic(device)),
        }
        write_index(output, [path for *_, path in wanted], content)


@contextmanager
def _job(
    plan: Plan, cell: Cell, what: str, fingerprint: str, *, output: Path, images: Path | None, threads: int
) -> Iterator[tuple[torch.device, Heartbeat]]:
    """The lock of a job, a device, and what says how far it is."""
    if (cell.ipc is None) != (images is None):
        raise BaconError(f"cell {cell}: --images names a cell's distilled set; the full data set has none")
    progress_path = plan.directory / cell.running_path(what)
    run = plan.config.run
    with job_lock(progress_path.with_suffix(".lock")):
        for path in (output, progress_path):
            remove_leftovers(path.parent, path.name)
        set_up_arithmetic(threads, deterministic=run.deterministic)
        with lease_device(run.device, jobs_per_gpu=run.jobs_per_gpu) as device:
            name = device_name(device)
            yield device, Heartbeat(progress_path, fingerprint=fingerprint, device=name, interval=run.progress_seconds)
        progress_path.unlink(missing_ok=True)


def _evaluate(
    plan: Plan,
    cell: Cell,
    network: str,
    *,
    data: Path,
    images: Path | None,
    output: Path,
    device: torch.device,
    heartbeat: Heartbeat,
) -> None:
    """One evaluation file, under the plan's own protocol."""
    remove_leftovers(output.parent, output.name)
    job = evaluation_of(plan, cell, network, device=device, heartbeat=heartbeat)
    if images is None:
        needs = plan.full_set_needs(cell, network)
        trained = {name: trained_runs(plan, cell, need) for name, need in needs.items()}
        evaluate_full(job, data_path=data, output=output, trained=trained)
    else:
        evaluate_distilled(job, distilled_path=images, data_path=data, output=output)


def evaluation_of(plan: Plan, cell: Cell, network: str, *, device: torch.device, heartbeat: Heartbeat) -> EvaluationJob:
    """How the networks of a cell are trained and tested under the plan's own protocol, on a device."""
    return EvaluationJob(
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        network_name=network,
        network=plan.evaluation_network(cell, network),
        evaluation=plan.settings(cell).evaluation,
        protocol=protocol_name(plan.config, cell.method),
        fingerprints=EvaluationFingerprints(
            rule=plan.evaluation_fingerprint(cell, network),
            record=plan.record_fingerprint(cell, network),
            augmentations=plan.augmentation_code(cell, network),
            data=plan.cell_data_fingerprint(cell),
            distilled=None if cell.ipc is None else plan.distilled_fingerprint(cell),
        ),
        # Networks of the two are told apart, so that a file holds those of one.
        cache=plan.directory / (RECORDS if is_deterministic(device) else FREE_RECORDS),
        device=device,
        placement=plan.config.run.real_images,
        teachers=tuple(trained_runs(plan, cell, need) for need in plan.teachers(cell)),
        progress_seconds=plan.config.run.progress_seconds,
        at_once=plan.config.run.networks_at_once,
        heartbeat=heartbeat,
    )
