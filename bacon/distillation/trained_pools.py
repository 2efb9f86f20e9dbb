"""Pools of networks that were trained on the real set before distillation (rule ``train``).

Which network an iteration gets is a function of the seed and the iteration, so the pools keep no state.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.pools import DrawnNetwork, UntrainedPool
from bacon.networks.network import Network
from bacon.runtime.draws import uniform
from bacon.training.run_networks import run_network

# Networks that stay on the device once they were read; more are read again when they are drawn.
_KEPT_BYTES = 2**30


class LoadedNetworks:
    """Networks of training runs on the device, read when they are first needed.

    Args:
        runs: the training runs.
        device: where the networks live.
        dtype: float32 or float64.
    """

    def __init__(self, runs: TrainedRuns, *, device: torch.device, dtype: torch.dtype) -> None:
        self._runs, self._device, self._dtype = runs, device, dtype
        self._loaded: OrderedDict[tuple[int, int | None], Network] = OrderedDict()

    def __len__(self) -> int:
        """Number of runs."""
        return len(self._runs)

    def get(self, run: int, epoch: int | None = None) -> Network:
        """A run's network, frozen and in evaluation mode; after ``epoch`` epochs, or after its training."""
        key = run, epoch
        if key not in self._loaded:
            network = run_network(self._runs, run, device=self._device, epoch=epoch, dtype=self._dtype)
            self._loaded[key] = network
            most = max(2, _KEPT_BYTES // max(1, _bytes(network)))
            while len(self._loaded) > most:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def _bytes(network: Network) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


class TrainedPool(UntrainedPool):
    """One of the trained networks, uniformly, in each iteration.

    Args:
        runs: the training runs.
        seed: distillation seed.
        device: where the networks live.
        dtype: float32 or float64.
        purpose: name of the stream of draws.
    """

    def __init__(
        self, runs: TrainedRuns, *, seed: int, device: torch.device, dtype: torch.dtype, purpose: str = "trained-pool"
    ) -> None:
        self._networks = LoadedNetworks(runs, device=device, dtype=dtype)
        self._seed, self._purpose = seed, purpose
        self._accuracy = torch.zeros((), device=device, dtype=dtype)

    def draw(self, iteration: int) -> DrawnNetwork:
        """The network of this iteration; no accuracy is measured."""
        drawn = float(uniform(self._seed, self._purpose, count=1, iteration=iteration)[0])
        return DrawnNetwork(self._networks.get(int(drawn * len(self._networks))), self._accuracy)


class InterpolatedPool(UntrainedPool):
    """Between a network before and after its training: ``(1 - l) trained + l initial``, l ~ U[0, 1) (DANCE, NCFM).

    Args:
        runs: training runs that kept the untrained weights.
        seed: distillation seed.
        device: where the networks live.
        dtype: float32 or float64.
    """

    def __init__(self, runs: TrainedRuns, *, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        self._networks = LoadedNetworks(runs, device=device, dtype=dtype)
        self._mixed = run_network(runs, 0, device=device, dtype=dtype)
        self._seed, self._accuracy = seed, torch.zeros((), device=device, dtype=dtype)

    def draw(self, iteration: int) -> DrawnNetwork:
        """The interpolated network of this iteration; it changes with the next draw. No accuracy is measured."""
        run, share = self._drawn(iteration)
        initial, trained = self._networks.get(run, epoch=0), self._networks.get(run)
        _mix(self._mixed, initial, trained, share)
        return DrawnNetwork(self._mixed, self._accuracy)

    def trained(self, iteration: int) -> Network:
        """The trained end of the same line."""
        return self._networks.get(self._drawn(iteration)[0])

    def _drawn(self, iteration: int) -> tuple[int, float]:
        run, share = uniform(self._seed, "interpolated-pool", count=2, iteration=iteration).tolist()
        return int(run * len(self._networks)), share


@torch.no_grad()
def _mix(mixed: Network, initial: Network, trained: Network, share: float) -> None:
    """Weights and running statistics of ``mixed``: ``share`` of the initial, the rest of the trained ones."""
    start, end = initial.state_dict(), trained.state_dict()
    for name, tensor in mixed.state_dict().items():
        tensor.copy_(_between(start[name], end[name], share))


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    return torch.lerp(end, start, share) if end.is_floating_point() else end
