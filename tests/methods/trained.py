"""Networks trained on a toy data set, in memory: what a method's training needs ask for, without files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from types import SimpleNamespace

import torch

from bacon.distillation.real_images import RealImages
from bacon.networks.build import build_network
from bacon.runtime.draws import device_uniform
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


class DrawnRuns(RunsInMemory):
    """The same with drawn weights, which are those of any machine: an untrained network that moves a little every epoch."""

    def _result(self, run):
        if run not in self._results:
            channels, size = self._dataset.train_images.shape[1:3]
            network = build_network(
                self.need.network, channels=channels, size=size, classes=len(self._dataset.class_names), seed=(0, run),
                device=CPU,
            )  # fmt: skip
            states = {epoch: moved(network.state_dict(), run, epoch) for epoch in self._epochs()}
            weights = states[max(states)] if states else moved(network.state_dict(), run, 1)
            self._results[run] = SimpleNamespace(train_loss=1.0, train_accuracy=0.9, weights=weights), states
        return self._results[run]

    def _epochs(self):
        return self.need.snapshot_epochs(self.need.recipe.total_epochs(len(self._dataset.train_labels)))


def moved(state, run, epoch):
    """The floating tensors of a state, further from where they were with every epoch."""
    return {
        name: tensor
        + 0.02 * epoch * (device_uniform((1, run), name, count=tensor.numel(), device=CPU) - 0.5).view_as(tensor)
        for name, tensor in state.items()
    }


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


def inputs_of(method, settings, network, dataset=None, runs=RunsInMemory):
    """Name of each need -> its runs."""
    needs = method.needs(CellSettings(network=network, distillation=settings))
    return {need.name: runs(need, dataset or usual_dataset()) for need in needs}
