"""Choosing real images class by class, and the network trained on the real set that a seed chooses with."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context, Selection
from bacon.distillation.initialisation import check_class_sizes
from bacon.networks.network import Network
from bacon.training.run_networks import run_network, warn_at_chance
from bacon.transforms.partition import encode


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

    Raises:
        BaconError: the run is damaged.
    """
    run, real = context.seed % len(runs), context.real
    warn_at_chance(runs, run, classes=real.classes, images=len(real.labels), where=context.cell)
    return run_network(runs, run, device=context.device, dtype=real.dtype)
