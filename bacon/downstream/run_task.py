"""Run a downstream task on a cell: each repetition once ever, kept as soon as it is finished, then the cell's file."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacon.artifacts.distilled_file import read_distilled
from bacon.artifacts.downstream_results import TaskCache, TaskRecord, parse_task_record, write_task_results
from bacon.artifacts.kept_networks import KeptNetworks
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.store import ImageDataset
from bacon.downstream.algorithm import TaskAlgorithm, TaskContext
from bacon.downstream.cell_networks import CellNetworks
from bacon.downstream.real_set_of_job import real_training_images
from bacon.evaluation.evaluate_cell import networks_on
from bacon.evaluation.evaluation_inputs import EvaluationJob
from bacon.evaluation.trained_networks import Networks
from bacon.runtime.devices import device_name, is_deterministic
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress
from bacon.runtime.provenance import provenance
from bacon.training.image_set import ImageSet

if TYPE_CHECKING:
    from bacon.downstream.base import Task
    from bacon.settings.downstream import TaskSettings

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class TaskJob:
    """What is done, on what, and what it is called.

    Attributes:
        task: the record.
        settings: of the task.
        evaluation: how the cell's networks are trained.
        fingerprint: of the file.
        result: fingerprint of each repetition, however many there are.
        repetitions: n.
        cache: folder of finished repetitions, and of pieces of them.
        kept: folder of trained networks.
        shared: folder for what the jobs of a data set share.
        own: digest of the code of the augmentation that the networks are trained with.
        inputs: name of each of the task's needs -> the networks trained on the real set.
        trained: for the full data set, the networks that stand for it; ``None``: they are trained here.
        content: what the file says of its settings.
    """

    task: Task
    settings: TaskSettings
    evaluation: EvaluationJob
    fingerprint: str
    result: str
    repetitions: int
    cache: Path
    kept: Path
    shared: Path
    own: str
    inputs: Mapping[str, TrainedRuns]
    trained: TrainedRuns | None
    content: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.task.name} {self.evaluation}"


def run_task(job: TaskJob, *, distilled_path: Path | None, data_path: Path, output: Path) -> None:
    """Run every repetition that is not in the cache, and write the file.

    Args:
        job: what is done.
        distilled_path: the distilled set; ``None`` for the full data set.
        data_path: the prepared data set.
        output: the file to write (JSON).

    Raises:
        BaconError: an input is damaged or has another fingerprint, a package is missing, or the task cannot be done.
    """
    algorithm = load_algorithm(job.task)
    cache = TaskCache(folder=job.cache, fingerprint=job.result)
    found = [_from(cache, repetition) for repetition in range(job.repetitions)]
    missing = [repetition for repetition, record in enumerate(found) if record is None]
    log.info("%s: %d repetitions, %d of them already there", job, job.repetitions, job.repetitions - len(missing))
    if missing:
        context = _context(job, cache, distilled_path, data_path)
        made: TaskAlgorithm = algorithm(job.settings, context)
        with Progress(
            str(job), len(missing), seconds=job.evaluation.progress_seconds, heartbeat=job.evaluation.heartbeat
        ) as progress:
            for repetition in missing:
                found[repetition] = _measured(job, cache, made, repetition)
                progress.advance()
    write_task_results(output, _content(job), [record for record in found if record is not None])


def load_algorithm(task: Task) -> Any:
    """The class of a task's algorithm; raises :class:`BaconError` where a package that it needs is not installed."""
    module, _, name = task.algorithm.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        wanted = (error.name or "").partition(".")[0]
        if wanted not in task.packages:
            raise
        raise BaconError(task.missing(wanted)) from None


def _from(cache: TaskCache, repetition: int) -> TaskRecord | None:
    value = cache.load(_name(repetition))
    if value is None:
        return None
    try:
        return parse_task_record(value)
    except (KeyError, TypeError, ValueError) as error:
        log.warning("repetition %d in the cache is damaged (%s); it is measured again", repetition, error)
        return None


def _name(repetition: int) -> str:
    return f"repetition{repetition}"


def _measured(job: TaskJob, cache: TaskCache, algorithm: TaskAlgorithm, repetition: int) -> TaskRecord:
    start = time.perf_counter()
    measured = algorithm.measure(repetition)
    for one in measured.measurements:
        if not math.isfinite(one.value):
            raise BaconError(f"{job}: {one.metric} {one.condition} of repetition {repetition} is {one.value}")
    record = TaskRecord(
        repetition=repetition,
        fingerprint=job.result,
        wall_seconds=time.perf_counter() - start,
        measurements=measured.measurements,
        details=measured.details,
    )
    cache.store(_name(repetition), asdict(record))
    return record


def _context(job: TaskJob, cache: TaskCache, distilled_path: Path | None, data_path: Path) -> TaskContext:
    evaluation = job.evaluation
    networks, synthetic = networks_of(evaluation, distilled_path, data_path)
    kept = KeptNetworks(folder=job.kept, fingerprint=evaluation.fingerprints.record, own=job.own)
    return TaskContext(
        where=str(evaluation),
        cell_networks=CellNetworks(networks, kept, trained=job.trained),
        synthetic=None if synthetic is None else synthetic.to(evaluation.device),
        inputs=job.inputs,
        shared=job.shared,
        pieces=cache,
    )


def networks_of(
    job: EvaluationJob, distilled_path: Path | None, data_path: Path
) -> tuple[Networks, SyntheticSet | None]:
    """The networks of a cell on its final images, and its set in stored form; of the full data set there is none."""
    if distilled_path is None:

        def real_images(_: ImageDataset, __: int) -> ImageSet:
            return real_training_images(networks)

        networks = Networks(job, real_images, data_path, final=0)
        return networks, None
    distilled = read_distilled(distilled_path, expected_fingerprint=job.fingerprints.distilled)
    return networks_on(job, distilled, data_path), distilled.synthetic


def _content(job: TaskJob) -> dict[str, Any]:
    evaluation = job.evaluation
    return {
        "fingerprint": job.fingerprint,
        "task": job.task.name,
        "dataset": evaluation.dataset,
        "method": evaluation.method,
        "ipc": evaluation.ipc,
        "seed": evaluation.seed,
        "network": evaluation.network_name if job.task.has_networks else "",
        "protocol": evaluation.protocol,
        "settings": dict(job.content),
        "distilled_fingerprint": evaluation.fingerprints.distilled,
        "data_fingerprint": evaluation.fingerprints.data,
        "training_fingerprints": {
            runs.key: runs.fingerprint
            for runs in (*job.inputs.values(), *evaluation.teachers, *([job.trained] if job.trained else []))
        },
        "provenance": provenance(device_name(evaluation.device), deterministic=is_deterministic(evaluation.device)),
    }
