"""Evaluate one cell: train networks on its images, each network once ever, and write the cell's evaluation file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bacon.datasets.store import ImageDataset, read_dataset
from bacon.distillation.artifact import Distilled, read_distilled
from bacon.evaluation.images import ImageSet
from bacon.evaluation.records import Record, RecordCache
from bacon.evaluation.training import Outcome, train_and_test
from bacon.partition import decode
from bacon.runtime.atomic import write_json
from bacon.runtime.devices import device_name
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress
from bacon.runtime.provenance import provenance

if TYPE_CHECKING:
    from bacon.settings import EvaluationSettings, NetworkSettings

log = get_logger(__name__)

# The full training set has no distillation seed: its networks start as those of distillation seed 0.
_REFERENCE_SEED = 0


@dataclass(frozen=True, kw_only=True)
class EvaluationFingerprints:
    """Cumulative fingerprints of one evaluation.

    Attributes:
        rule: of the evaluation file.
        record: of its networks, whatever the numbers of seeds; the key of the cache.
        data: that the data set must carry.
        distilled: that the distilled set must carry; ``None`` for the full training set.
    """

    rule: str
    record: str
    data: str
    distilled: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """What is evaluated and how.

    Attributes:
        dataset: name of the data set.
        method: name of the method; "full" for the full training set.
        ipc: images per class; ``None`` for the full training set, as is ``seed``.
        seed: distillation seed.
        network_name: name of the evaluation network in the configuration.
        network: its architecture.
        evaluation: the protocol, with the numbers of seeds.
        fingerprints: what the inputs must carry and the output shall carry.
        cache: folder of finished records.
        device: where networks are trained.
        progress_seconds: seconds between progress lines in a log.
        heartbeat: says how far the job is.
    """

    dataset: str
    method: str
    ipc: int | None
    seed: int | None
    network_name: str
    network: NetworkSettings
    evaluation: EvaluationSettings
    fingerprints: EvaluationFingerprints
    cache: Path
    device: torch.device
    progress_seconds: float = 10.0
    heartbeat: Heartbeat | None = None

    def __str__(self) -> str:
        place = self.method if self.ipc is None else f"{self.method}/ipc{self.ipc}/seed{self.seed}"
        return f"{self.dataset}/{place} {self.network_name}"


TrainingSet = Callable[[ImageDataset, int], ImageSet]
"""Training images (decoded, on the job's device) of an iteration of the cell."""


def evaluate_distilled(job: EvaluationJob, *, distilled_path: Path, data_path: Path, output: Path) -> None:
    """Evaluate a distilled set: its final images with every evaluation seed, earlier snapshots with the first few.

    A finished network goes into the cache at once: a killed job goes on where it was, and one more seed costs one more
    network.

    Args:
        job: what is evaluated and how.
        distilled_path: the distilled set.
        data_path: the preprocessed data set, whose test images are used.
        output: the evaluation file to write (JSON).

    Raises:
        BaconError: an input is damaged or carries another fingerprint, the network does not fit, or training diverged.
    """
    distilled = read_distilled(distilled_path, expected_fingerprint=job.fingerprints.distilled)
    final = int(distilled.attributes["iterations"])
    earlier = sorted(iteration for iteration in distilled.snapshots if iteration < final)

    def training_set(_: ImageDataset, iteration: int) -> ImageSet:
        return _decoded(distilled, iteration, final, job.device)

    wanted = [(iteration, seed) for iteration in earlier for seed in range(job.evaluation.snapshot_seeds)]
    wanted += [(final, seed) for seed in range(job.evaluation.seeds)]
    _write(job, _records(job, wanted, final, training_set, data_path), output)


def evaluate_full(job: EvaluationJob, *, data_path: Path, output: Path) -> None:
    """Evaluate the full training set, the upper reference; as :func:`evaluate_distilled`, at iteration 0."""

    def training_set(dataset: ImageDataset, _: int) -> ImageSet:
        return _on_device(dataset.train_images, dataset.train_labels, dataset, job.device)

    wanted = [(0, seed) for seed in range(job.evaluation.seeds)]
    _write(job, _records(job, wanted, 0, training_set, data_path), output)


def _decoded(distilled: Distilled, iteration: int, final: int, device: torch.device) -> ImageSet:
    """The training images and labels of one iteration of a distilled set."""
    factor = int(distilled.attributes["partition"])
    stored = distilled.images if iteration == final else distilled.snapshots[iteration]
    images = decode(stored.to(device), factor).contiguous()
    return ImageSet(images=images, labels=distilled.labels.to(device).repeat_interleave(factor**2))


def _on_device(images: Any, labels: Any, dataset: ImageDataset, device: torch.device) -> ImageSet:
    return ImageSet.of_uint8(
        images, labels, mean=dataset.mean, std=dataset.std, device=device, whitening=dataset.whitening
    )


def _records(
    job: EvaluationJob, wanted: Sequence[tuple[int, int]], final: int, training_set: TrainingSet, data_path: Path
) -> list[Record]:
    """The records of all (iteration, evaluation seed) ``wanted``, in their order: cached, or computed and cached."""
    cache = RecordCache(folder=job.cache, fingerprint=job.fingerprints.record)
    found = {key: record for key in wanted if (record := cache.load(*key)) is not None}
    missing = [key for key in wanted if key not in found]
    log.info("%s: %d networks, %d of them trained before", job, len(wanted), len(found))
    if missing:
        dataset = read_dataset(data_path, expected_fingerprint=job.fingerprints.data)
        test = _on_device(dataset.test_images, dataset.test_labels, dataset, job.device)
        # Iterations come one after the other, so one training set is in memory at a time.
        train_of = lru_cache(maxsize=1)(lambda iteration: training_set(dataset, iteration))
        total = len(missing) * job.evaluation.epochs
        with Progress(f"evaluate {job}", total, seconds=job.progress_seconds, heartbeat=job.heartbeat) as progress:
            for iteration, seed in missing:
                outcome = _train_one(job, train_of(iteration), test, len(dataset.class_names), seed, progress)
                record = _record(job, outcome, iteration, seed, final=iteration == final)
                cache.store(record)
                found[iteration, seed] = record
    return [found[key] for key in wanted]


def _train_one(
    job: EvaluationJob, train: ImageSet, test: ImageSet, classes: int, seed: int, progress: Progress
) -> Outcome:
    return train_and_test(
        train,
        test,
        network=job.network,
        evaluation=job.evaluation,
        classes=classes,
        seed=(_REFERENCE_SEED if job.seed is None else job.seed, seed),
        on_epoch=progress.advance,
    )


def _record(job: EvaluationJob, outcome: Outcome, iteration: int, seed: int, *, final: bool) -> Record:
    log.info(
        "%s: iteration %d, evaluation seed %d: test accuracy %.2f%%, train accuracy %.2f%%, %.1f s",
        job,
        iteration,
        seed,
        100 * outcome.test_accuracy,
        100 * outcome.train_accuracy,
        outcome.wall_seconds,
    )
    return Record(
        iteration=iteration,
        final=final,
        evaluation_seed=seed,
        fingerprint=job.fingerprints.record,
        **asdict(outcome),
    )


def _write(job: EvaluationJob, records: Sequence[Record], output: Path) -> None:
    """Write the evaluation file atomically, records ordered by iteration, then evaluation seed."""
    ordered = sorted(records, key=lambda record: (record.iteration, record.evaluation_seed))
    content = {
        "fingerprint": job.fingerprints.rule,
        "dataset": job.dataset,
        "method": job.method,
        "ipc": job.ipc,
        "seed": job.seed,
        "network": job.network_name,
        "settings": {
            "network": job.network.model_dump(mode="json"),
            "evaluation": job.evaluation.model_dump(mode="json"),
        },
        "distilled_fingerprint": job.fingerprints.distilled,
        "data_fingerprint": job.fingerprints.data,
        "provenance": provenance(device_name(job.device)),
        "records": [asdict(record) for record in ordered],
    }
    write_json(output, content)
