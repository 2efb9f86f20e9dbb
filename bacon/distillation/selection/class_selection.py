"""Choosing real images class by class, and the network trained on the real set that a seed chooses with."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context, Selection
from bacon.distillation.initialisation import check_class_sizes
from bacon.networks.network import Network
from bacon.runtime.logs import get_logger
from bacon.training.run_networks import run_network
from bacon.transforms.partition import encode

log = get_logger(__name__)


class ClassSelection(Selection):
    """A selection that looks at one class at a time, so that memory holds what it knows of one class."""

    def select(self) -> Tensor:
        """(classes * ipc, C, H, W) normalised, in class order.

        Raises:
            BaconError: a class has fewer images than needed.
        """
        context = self.context
        check_class_sizes(context.real, ipc=context.ipc, partition=self.partition)
        needed = context.ipc * self.partition**2
        return torch.cat([self._stored(label, needed) for label in range(context.real.classes)])

    def _stored(self, label: int, needed: int) -> Tensor:
        chosen = self.places(label).index_select(0, self.choose(label, needed))
        return encode(self.context.real.batch(chosen), self.partition)

    @abstractmethod
    def choose(self, label: int, count: int) -> Tensor:
        """(count,) int64 on the device: distinct positions among the images of a class, in the order of storage."""

    def places(self, label: int) -> Tensor:
        """(N,) int64 on the device: where the images of a class are among all."""
        counts, device = self.context.real.counts, self.context.device
        first = sum(counts[:label])
        return torch.arange(first, first + counts[label], device=device)


def network_of_seed(runs: TrainedRuns, context: Context) -> Network:
    """The network that the cell's seed chooses with, number seed modulo their number, in eval mode and the real images' dtype.

    A warning says so if it classified its training images hardly better than chance: what it sees means nothing then.

    Raises:
        BaconError: the run is damaged.
    """
    run = context.seed % len(runs)
    accuracy, chance = runs.entry(run).train_accuracy, 1 / context.real.classes
    if accuracy <= chance + 3 * (chance * (1 - chance) / len(context.real.labels)) ** 0.5:
        log.warning(
            "%s: training run %d (%s) classified %.1f %% of its training images correctly, where chance is %.1f %%; what is "
            "chosen with it says little: train longer, or with another rate",
            context.cell, run, runs.key, 100 * accuracy, 100 * chance,
        )  # fmt: skip
    return run_network(runs, run, device=context.device, dtype=context.real.dtype)
