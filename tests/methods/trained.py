"""Networks trained on a toy data set, in memory: what a method's training needs ask for, without files."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch

from bacon.distillation.real_images import RealImages
from bacon.settings.cell_settings import CellSettings
from bacon.training.image_set import ImageSet
from bacon.training.real_set import RealSetRun, train_together
from tests.distillation.conftest import toy_dataset

CPU = torch.device("cpu")
_RUNS = {}


class RunsInMemory:
    """What ``TrainedRuns`` offers, of runs that are trained when they are first asked for."""

    def __init__(self, need, dataset):
        self.need, self.key, self.fingerprint = need, need.key, "f" * 32
        self._dataset = dataset
        self._results = {}

    def __len__(self):
        return self.need.runs

    def _result(self, run):
        if run not in self._results:
            self._results[run] = trained_run(self.need, self._dataset, run)
        return self._results[run]

    def entry(self, run):
        return self._result(run)[0]

    def attributes(self, run):
        shape = self._dataset.train_images.shape
        return {
            "dataset": self._dataset.name, "data_fingerprint": "d" * 32, "settings": self.need.identity(), "run": run,
            "seed": [0, run], "channels": shape[1], "size": shape[2], "classes": len(self._dataset.class_names),
        }  # fmt: skip

    def epochs(self, run):
        return tuple(self._result(run)[1])

    def snapshot(self, run, epoch):
        return self._result(run)[1][epoch]

    def weights(self, run):
        result, snapshots = self._result(run)
        return result.weights or snapshots[max(snapshots)]

    def soft_labels(self, run):
        return torch.from_numpy(self._result(run)[0].soft_labels)


def trained_run(need, dataset, run):
    """Result and snapshots of one run on the images in the order of ``RealImages``; trained once in a process."""
    content = hashlib.sha256(dataset.train_images.tobytes() + repr((dataset.mean, dataset.std)).encode()).hexdigest()
    key = (need.key, content, run)
    if key not in _RUNS:
        snapshots = {}

        def keep(_, epoch, weights):
            snapshots[epoch] = {name: tensor.clone() for name, tensor in weights.items()}
            return str(epoch)

        real = RealImages(dataset, device=CPU)
        images = ImageSet.of_uint8(
            real.images.numpy(), real.labels.numpy(), mean=dataset.mean, std=dataset.std, device=CPU
        )
        training = RealSetRun(run, need, images, len(dataset.class_names), keep)
        train_together([training])
        _RUNS[key] = training.result(), snapshots
    return _RUNS[key]


@lru_cache(maxsize=1)
def usual_dataset():
    return toy_dataset()


def inputs_of(method, settings, network, dataset=None):
    """Name of each need -> its runs."""
    needs = method.needs(CellSettings(network=network, distillation=settings))
    return {need.name: RunsInMemory(need, dataset or usual_dataset()) for need in needs}
