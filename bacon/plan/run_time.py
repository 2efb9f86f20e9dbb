"""How long a whole run takes on a measured machine, and how much memory its jobs need. No torch.

Unlike the times that are asked of a scheduler, which are upper bounds, these are what a person waits for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bacon.plan import cost
from bacon.plan.task_cost import task_seconds
from bacon.plan.trainings import PlannedTraining, most_runs

if TYPE_CHECKING:
    from bacon.plan.machine import Machine
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell

# What the operations leave out: augmentation, drawing batches, optimisers, and jobs that share caches and memory.
_OVERHEAD = 1.25
# Starts of a job that Snakemake's planning, the tables, the figures and the report take; and each figure of a distilled set.
_STARTS_OF_REPORTING = 8.0
_STARTS_PER_FIGURE = 0.5
_JOB_MB = 1000
_MAPS = 6
_USUAL_PIXELS = 32 * 32


def run_seconds(plan: Plan, machine: Machine, sizes: dict[str, cost.DataSize], preparing: float) -> float:
    """Seconds from the first job to the report.

    Args:
        plan: of own data, none of it computed yet; its files are not read.
        machine: where it runs.
        sizes: data set -> its size as it will be prepared.
        preparing: seconds to prepare the data sets.
    """
    measured = cost.Measurements(
        operations_per_second=machine.operations_per_second, pass_seconds=machine.pass_seconds, sizes=sizes
    )
    start, at_once = machine.start_seconds, machine.jobs
    # A distilled set and its evaluation follow one another; so do the networks trained on the full set and their test.
    chains = [sum(start + _OVERHEAD * seconds for seconds in jobs) for jobs in _chains(plan, measured)]
    computing = max(sum(chains) / at_once, *chains)
    figures = len({(cell.dataset, cell.method, cell.ipc) for cell in plan.cells}) * _STARTS_PER_FIGURE / at_once
    return preparing + start + computing + (_STARTS_OF_REPORTING + figures) * start


def full_set_seconds(plan: Plan, machine: Machine, sizes: dict[str, cost.DataSize]) -> float:
    """Seconds to train and test the networks that stand for the full data sets, one after another."""
    measured = cost.Measurements(
        operations_per_second=machine.operations_per_second, pass_seconds=machine.pass_seconds, sizes=sizes
    )
    return _OVERHEAD * sum(sum(_full_set(plan, cell, measured)) for cell in plan.references)


def _chains(plan: Plan, measured: cost.Measurements) -> Iterator[list[float]]:
    """Seconds of jobs that follow one another, without what the operations leave out."""
    for cell in plan.references:
        yield _full_set(plan, cell, measured)
    for cell in plan.cells:
        evaluations = (
            cost.evaluation_seconds(each, cell, network, measured)
            for each in plan.protocols.values()
            for network in plan.networks
        )
        yield [cost.distill_seconds(plan, cell, measured), *evaluations]
    for name in plan.tasks.names:
        for cell, network in plan.tasks.places(name):
            yield [task_seconds(plan, name, cell, network, measured)]


def _full_set(plan: Plan, cell: Cell, measured: cost.Measurements) -> list[float]:
    pairs = [(each, network) for each in plan.protocols.values() for network in plan.networks]
    needs = most_runs(need for each, network in pairs for need in each.full_set_needs(cell, network).values())
    seconds = []
    for need in needs.values():
        # Its fingerprint, for which all images would have to be read, does not change the time.
        training = PlannedTraining(
            dataset=plan.data_name(cell), need=need, fingerprint="", runs_per_job=plan.config.run.runs_per_job
        )
        seconds += [cost.training_seconds(plan, training, block, measured) for block in training.blocks]
    return [*seconds, *(cost.evaluation_seconds(each, cell, network, measured) for each, network in pairs)]


def job_memory_mb(plan: Plan, cell: Cell, size: cost.DataSize) -> int:
    """Memory of a job on a CPU in MB: the data set, and feature maps of the images that are computed together."""
    settings, run = plan.settings(cell), plan.config.run
    parts = settings.distillation.parts() if settings.distillation else 1
    synthetic = (cell.ipc or 0) * parts * size.classes
    batch = max(synthetic, settings.evaluation.batch_size)
    pixels = size.size**2
    together = min(run.chunk_images * _USUAL_PIXELS // max(pixels, _USUAL_PIXELS), batch)
    maps = _MAPS * settings.network.width * pixels * 4 * together / 1e6
    return math.ceil(_JOB_MB + 3 * size.megabytes + maps)
