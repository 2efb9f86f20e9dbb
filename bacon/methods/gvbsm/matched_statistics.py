"""What G-VBSM matches: statistics of the inputs of batch norms and convolutions, and running means of those of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bacon.distillation.recovery.layer_statistics import channel_moments, distance, seen
from bacon.distillation.recovery.patches import patch_moments
from bacon.networks.network import Network

Statistics = tuple[Tensor, ...]
"""Mean and variance of each channel; of a convolution those of each patch besides."""


def matched_layers(network: Network) -> list[nn.Module]:
    """Convolutions and batch norms, in the order in which a network's modules are listed."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]


def statistics_of(layer: nn.Module, maps: Tensor, batches: int) -> Statistics:
    """Statistics of a layer's input (batches * B, C, H, W), each (batches, D)."""
    moments = channel_moments(maps, batches)
    return moments if isinstance(layer, nn.BatchNorm2d) else (*moments, *patch_moments(maps, batches))


@torch.no_grad()
def training_statistics(network: Network, batches: Sequence[Callable[[], Tensor]]) -> list[Statistics]:
    """What each matched layer is to show: running statistics of batch norms, and means over batches of real images elsewhere.

    Args:
        network: in evaluation mode.
        batches: each makes a batch (B, C, H, W) of real images, normalised; batches count by their sizes.

    Returns:
        For each of :func:`matched_layers` its statistics, each (D,).
    """
    layers, totals, images = matched_layers(network), dict[int, list[Tensor]](), 0
    for batch in batches:
        x = batch()
        images += len(x)

        def note(number: int, maps: Tensor, count: int = len(x)) -> None:
            if isinstance(layers[number], nn.Conv2d):
                found = [count * each[0] for each in statistics_of(layers[number], maps, 1)]
                kept = totals.get(number)
                totals[number] = found if kept is None else [old + new for old, new in zip(kept, found, strict=True)]

        with seen(layers, note):
            network(x)
    return [_wanted(layer, [each / images for each in totals.get(n, [])]) for n, layer in enumerate(layers)]


def _wanted(layer: nn.Module, averages: Sequence[Tensor]) -> Statistics:
    if not isinstance(layer, nn.BatchNorm2d):
        return tuple(averages)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


@dataclass
class RunningMeans:
    """Running means of the statistics of every batch, which start at 0: m old + (1 - m) new.

    Attributes:
        momentum: m.
        kept: "teacher layer statistic" -> (batches, D).
        new: those of the iteration that is being computed, which :meth:`settle` keeps.
    """

    momentum: float
    kept: dict[str, Tensor] = field(default_factory=dict)
    new: dict[str, list[tuple[range, Tensor]]] = field(default_factory=dict)

    def moved(self, key: str, found: Tensor, numbers: range, used: Tensor, total: int) -> Tensor:
        """Running means of some batches with their new statistics, through which the whole gradient flows.

        Args:
            key: whose statistic it is.
            found: (G, D) of the batches ``numbers``.
            numbers: which of all batches they are.
            used: (G,) bool: where it is false, the mean stays as it was.
            total: number of all batches.
        """
        if key not in self.kept:
            self.kept[key] = found.new_zeros(total, found.shape[1])
        old, now = self.kept[key][numbers.start : numbers.stop], found.detach()
        mean = self.momentum * old + (1 - self.momentum) * now
        self.new.setdefault(key, []).append((numbers, torch.where(used[:, None], mean, old)))
        return mean + (found - now)

    def settle(self) -> None:
        """Keep the running means of the iteration."""
        for key, pieces in self.new.items():
            for numbers, mean in pieces:
                self.kept[key][numbers.start : numbers.stop] = mean
        self.new = {}

    def state_dict(self) -> dict[str, Any]:
        """The running means."""
        return dict(self.kept)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the tensors of :meth:`state_dict`."""
        self.kept, self.new = dict(state), {}


def distances(found: Statistics, wanted: Statistics) -> Tensor:
    """(G,) sum of the distances of statistics (G, D) from those wanted (D,)."""
    return torch.stack([distance(one, other) for one, other in zip(found, wanted, strict=True)]).sum(dim=0)
