"""The full training set's networks, which were trained before they are tested here: the upper bound in every table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bacon.artifacts.evaluation_records import RecordKey
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.evaluation.evaluation_inputs import EvaluationJob
from bacon.evaluation.train_and_test import Outcome, measure_network
from bacon.evaluation.trained_networks import Networks
from bacon.training.image_set import ImageSet
from bacon.training.run_networks import run_network


class FullSetNetworks(Networks):
    """Tests networks that are trained on the full training set, run i for evaluation seed i.

    Args:
        job: what is evaluated and how.
        data_path: the preprocessed data set, whose test images are used.
        trained: augmentation -> the networks trained with it.

    Attributes:
        testing_seconds: time of reading and testing those that were in no cache.
    """

    def __init__(self, job: EvaluationJob, data_path: Path, trained: Mapping[str, TrainedRuns]) -> None:
        super().__init__(job, _no_training_set, data_path, final=0)
        self._trained = trained
        self.at_once = 1  # they are only tested
        self.testing_seconds = 0.0

    def total_steps(self, keys: Sequence[RecordKey]) -> int:
        """Steps of the progress: a test each."""
        return len(keys)

    def outcome(self, key: RecordKey, on_epoch: Callable[[], None]) -> Outcome:
        """Test a network; what it did in training, and its time, are the training run's."""
        runs, test, validation = self._trained[key.augmentation], self.test, self.validation
        start = time.perf_counter()
        model = run_network(runs, key.evaluation_seed, device=self.job.device)
        tested = measure_network(
            model,
            test,
            validation,
            classes=len(self.dataset.class_names),
            images_at_once=self.images_at_once,
        )
        on_epoch()
        entry, seconds = runs.entry(key.evaluation_seed), time.perf_counter() - start
        self.testing_seconds += seconds
        return Outcome(
            train_accuracy=entry.train_accuracy,
            train_loss=entry.train_loss,
            epochs=int(runs.attributes(key.evaluation_seed)["epochs"]),
            wall_seconds=entry.wall_seconds + seconds,
            **vars(tested),
        )


def _no_training_set(*_: object) -> ImageSet:
    raise AssertionError("the networks are already trained and need no training images")
