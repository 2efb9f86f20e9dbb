"""The networks of one evaluation: each trained once ever, and kept in a cache as soon as it is finished."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bacon.artifacts.evaluation_records import Record, RecordCache, RecordKey
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.evaluation.evaluation_inputs import EvaluationJob
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.side_by_side import Attempt, train_side_by_side
from bacon.evaluation.train_and_test import Outcome, train_and_test, trial
from bacon.networks.network import Network
from bacon.runtime.clocks import Clock
from bacon.runtime.host_rows import Placement
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress
from bacon.runtime.streams import Streams, has_streams
from bacon.settings.trained_networks import TEACHERS
from bacon.training.batches import IMAGES_AT_ONCE
from bacon.training.image_set import ImageSet
from bacon.training.loop import DivergedError
from bacon.training.predictions import Teacher, ensemble
from bacon.training.run_networks import check_runs, run_network, warn_at_chance

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings

log = get_logger(__name__)

# Of the batches of all networks that are trained side by side: ten batches of 256 images of 32x32 pixels.
_PIXELS_AT_ONCE = 10 * 256 * 32**2

# The full training set has no distillation seed: its networks start as those of distillation seed 0.
_REFERENCE_SEED = 0


TrainingSet = Callable[[ImageDataset, int], ImageSet]
"""Training images (decoded, on the job's device) of an iteration of the cell."""


class Networks:
    """Trains networks on the images of a cell's iterations, or finds them in the cache.

    Args:
        job: what is evaluated and how.
        training_set: the images of an iteration.
        data_path: the preprocessed data set; it is read when the first network has to be trained.
        final: the cell's last iteration.
        full: ``training_set`` wants the data set's own training images, which are not read otherwise.

    Attributes:
        at_once: networks that are trained side by side.
        images_at_once: images that a network augments and tests at once.
    """

    def __init__(
        self, job: EvaluationJob, training_set: TrainingSet, data_path: Path, *, final: int, full: bool = False
    ) -> None:
        self.job, self.final, self.data_path, self._full = job, final, data_path, full
        self.at_once, self.images_at_once = job.at_once if has_streams(job.device) else 1, IMAGES_AT_ONCE
        self._cache = RecordCache(
            folder=job.cache, fingerprint=job.fingerprints.record, augmentations=job.fingerprints.augmentations
        )
        # Iterations come one after the other, so there are no more training sets in memory than networks in training. With
        # itself in the cache, all that is read here would stay, beside the next evaluations', until Python looks for cycles.
        own = weakref.proxy(self)
        self.train = lru_cache(maxsize=self.at_once)(lambda iteration: training_set(own.dataset, iteration))

    @cached_property
    def dataset(self) -> ImageDataset:
        """The data set whose test images are used, read once; raises :class:`BaconError` when it is not the one expected."""
        return read_dataset(self.data_path, expected_fingerprint=self.job.fingerprints.data, train=self._full)

    @cached_property
    def test(self) -> ImageSet:
        """The test set."""
        return self._real_images(self.dataset.test_images, self.dataset.test_labels)

    @cached_property
    def validation(self) -> ImageSet | None:
        """The validation split; ``None``: there is none."""
        if self.dataset.validation_images is None:
            return None
        return self._real_images(self.dataset.validation_images, self.dataset.validation_labels)

    def _real_images(self, images: Any, labels: Any) -> ImageSet:
        return image_set(images, labels, self.dataset, self.job.device, self.job.placement)

    @cached_property
    def teacher(self) -> Teacher | None:
        """What labels each batch: the mean logits of the job's teachers; ``None``: there are none."""
        job = self.job
        if not job.teachers:
            return None
        networks = [self._teacher(runs, run) for runs in job.teachers for run in range(len(runs))]
        return ensemble(networks, equal_norms=job.evaluation.teacher_norms == "equal")

    def _teacher(self, runs: TrainedRuns, run: int) -> Network:
        dataset, about = self.dataset, runs.attributes(run)
        channels, height, width = dataset.test_images.shape[1:]
        check_runs(
            runs,
            run,
            name=TEACHERS,
            where=self.job,
            dataset=dataset.name,
            data_fingerprint=self.job.fingerprints.data,
            shape=(channels, height, width),
            classes=len(dataset.class_names),
        )
        warn_at_chance(runs, run, classes=about["classes"], images=about["images"], where=self.job)
        return run_network(runs, run, device=self.job.device)

    def learned_rate(self, iteration: int) -> float:
        """The learning rate that training begins with where ``evaluation.lr`` is learned."""
        return self.job.evaluation.rate_of(self.train(iteration).rates)

    def records(self, wanted: Sequence[RecordKey]) -> list[Record]:
        """The records ``wanted``, in their order: cached, or computed and cached.

        Raises:
            BaconError: the network does not fit the images; ``DivergedError`` when a training diverged.
        """
        records = []
        for found in self.attempts(wanted, stop=True):
            if isinstance(found, DivergedError):
                raise found
            records.append(found)
        return records

    def attempts(self, wanted: Sequence[RecordKey], *, stop: bool = False) -> list[Attempt]:
        """As :meth:`records`, with the error of a training that diverged in place of its record.

        Args:
            wanted: the networks.
            stop: the first error may end it; networks in training beside the one that diverged are finished.
        """
        job = self.job
        found: dict[RecordKey, Attempt] = {
            key: record for key in wanted if (record := self._cache.load(key)) is not None
        }
        missing = [key for key in wanted if key not in found]
        log.info("%s: %d networks, %d of them already trained", job, len(wanted), len(found))
        if missing:
            total = self.total_steps(missing)
            with Progress(f"evaluate {job}", total, seconds=job.progress_seconds, heartbeat=job.heartbeat) as progress:
                if self.at_once > 1:
                    found |= self._side_by_side(missing, progress)
                for key in missing:
                    if key not in found:
                        found[key] = self._attempt(key, progress, stop=stop)
        return [found[key] for key in wanted]

    def _settings(self, key: RecordKey) -> EvaluationSettings:
        return self.job.evaluation.with_augmentation(key.augmentation, key.lr_net)

    def total_steps(self, keys: Sequence[RecordKey]) -> int:
        """Epochs of all networks of ``keys``; the sets of all iterations are of one size, so the first one says it."""
        if self.job.evaluation.regression != "none":
            return len(keys)
        train, classes = self.train(keys[0].iteration), len(self.dataset.class_names)
        recipes = (self._settings(key).recipe(images=len(train), classes=classes, rates=train.rates) for key in keys)
        return sum(recipe.total_epochs(len(train)) for recipe in recipes)

    def _attempt(self, key: RecordKey, progress: Progress, *, stop: bool) -> Attempt:
        try:
            return self._kept(key, self._outcome_in_memory(key, progress))
        except DivergedError as error:
            if stop:
                raise
            return error

    def _kept(self, key: RecordKey, outcome: Outcome) -> Record:
        """The record of a finished network, which is in the cache from now on."""
        _report(self.job, key, outcome)
        final = key.iteration == self.final
        record = Record(final=final, fingerprint=self._cache.fingerprint_of(key), **asdict(key), **asdict(outcome))
        self._cache.store(record)
        return record

    def _places(self, key: RecordKey) -> int:
        """Networks that are trained side by side: fewer of larger batches, which fill a GPU and its memory by themselves."""
        train = self.train(key.iteration)
        pixels = min(self.job.evaluation.batch_size, len(train)) * train.images.shape[-2] * train.images.shape[-1]
        return max(1, min(self.at_once, _PIXELS_AT_ONCE // pixels))

    def _side_by_side(self, keys: Sequence[RecordKey], progress: Progress) -> dict[RecordKey, Attempt]:
        """What became of ``keys``, some at a time; where memory does not suffice, of those that were finished before."""
        epochs = 0

        def count() -> None:
            nonlocal epochs
            epochs += 1
            progress.advance()

        def begin(key: RecordKey, clock: Clock) -> Generator[None, None, Outcome]:
            return trial(self.training(key), self.test, on_epoch=count, clock=clock)

        found: dict[RecordKey, Attempt] = {}
        try:
            streams = Streams(self.job.device, self._places(keys[0]))
            train_side_by_side(streams, keys, begin, self._kept, found)
            return found
        except torch.OutOfMemoryError:
            log.warning(
                "%s: out of device memory with %d networks side by side: one after another for the rest of this job; %d "
                "networks are finished",
                self.job,
                self.at_once,
                len(found),
            )
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        self.at_once = 1
        progress.advance((self.total_steps(list(found)) if found else 0) - epochs)  # the others are trained again
        if self.job.device.type == "cuda":
            torch.cuda.empty_cache()
        return found

    def _outcome_in_memory(self, key: RecordKey, progress: Progress) -> Outcome:
        """:meth:`outcome`; if the device runs out of memory, again with half as many images at once."""
        try:
            return self.outcome(key, progress.advance)
        except torch.OutOfMemoryError:
            if self.images_at_once == 1:
                raise
            self.images_at_once //= 2
            log.warning(
                "%s: out of device memory; %d images at a time for the rest of this job, and the network of "
                "evaluation seed %d is trained again",
                self.job,
                self.images_at_once,
                key.evaluation_seed,
            )
        # Out of the handler: the exception's frames hold the tensors that did not fit. Its epochs have been counted.
        if self.job.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.outcome(key, lambda: None)

    def outcome(self, key: RecordKey, on_epoch: Callable[[], None]) -> Outcome:
        """Train and test a network; ``on_epoch`` is called after every epoch."""
        return train_and_test(self.training(key), self.test, on_epoch=on_epoch)

    def training(self, key: RecordKey) -> NetworkTraining:
        """What a network is trained on, and how."""
        job = self.job
        return NetworkTraining(
            train=self.train(key.iteration),
            network=job.network,
            evaluation=self._settings(key),
            classes=len(self.dataset.class_names),
            seed=(_REFERENCE_SEED if job.seed is None else job.seed, key.evaluation_seed),
            validation=self.validation,
            teacher=self.teacher,
            images_at_once=self.images_at_once,
        )


def _report(job: EvaluationJob, key: RecordKey, outcome: Outcome) -> None:
    log.info(
        "%s: iteration %d, evaluation seed %d, %s: test accuracy %.2f%%, train accuracy %.2f%%, %.1f s",
        job,
        key.iteration,
        key.evaluation_seed,
        key.augmentation,
        100 * outcome.test_accuracy,
        100 * outcome.train_accuracy,
        outcome.wall_seconds,
    )


def image_set(
    images: Any, labels: Any, dataset: ImageDataset, device: torch.device, placement: Placement = "auto"
) -> ImageSet:
    """Real images (N, C, H, W) uint8 of ``dataset``, for a device, normalised or whitened when used."""
    return ImageSet.of_uint8(
        images,
        labels,
        mean=dataset.mean,
        std=dataset.std,
        device=device,
        whitening=dataset.whitening,
        placement=placement,
    )
