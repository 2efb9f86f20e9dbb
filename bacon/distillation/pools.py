"""Where the embedding networks come from: what every pool is, and fresh networks (DM).

The queue of partly trained networks (IDM, BACON) is in ``bacon.distillation.network_queue``; pools of networks that were
trained before distillation are in ``bacon.distillation.trained_pools``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.networks.network import Network

Build = Callable[[int], Network]


class DrawnNetwork(NamedTuple):
    """A network of a pool.

    Attributes:
        network: frozen.
        accuracy: its running training accuracy in percent, 0-d on the device; zero before any training.
    """

    network: Network
    accuracy: Tensor


class NetworkPool(Protocol):
    """Where an algorithm's networks come from; every call names the iteration it belongs to."""

    def begin(self, iteration: int) -> None:
        """Add networks and reset meters where this iteration is due for it."""

    def draw(self, iteration: int) -> DrawnNetwork:
        """The network of this iteration, frozen."""

    def start(self, iteration: int) -> None:
        """Begin what :meth:`advance` will do, as far as it does not depend on the iteration's step, which it runs beside.

        The network that was drawn, and its accuracy, stay as they are until :meth:`advance`.
        """

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """Train networks a little after the iteration's step, on real images or on the current synthetic set."""

    def make_room(self, iteration: int) -> bool:
        """Give up what only saves time, because memory does not suffice; returns whether there was anything."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: tensors, numbers and containers of them."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the pool that :meth:`state_dict` was taken from; ``state`` may be used up by it."""


class UntrainedPool:
    """What pools share whose networks are not trained while they are used, and which keep no state."""

    def begin(self, iteration: int) -> None:
        """Nothing to prepare."""

    def start(self, iteration: int) -> None:
        """Nothing to train."""

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """Nothing to train."""

    def make_room(self, iteration: int) -> bool:
        """Nothing to give up."""
        del iteration
        return False

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep: the iteration names the network."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to restore."""


class Fresh(UntrainedPool):
    """A fresh random network per iteration; it is never trained, so its accuracy is zero.

    Args:
        build: builds the network with a given serial number.
        device: of the accuracy.
        dtype: of the accuracy.
        training: whether networks are in training mode, in which batch norm uses the batch at hand.

    Attributes:
        mixes_images: whether they mix the images of a batch, so that all classes are one batch: in training mode.
    """

    def __init__(self, build: Build, *, device: torch.device, dtype: torch.dtype, training: bool = False) -> None:
        self._build, self._accuracy = build, torch.zeros((), device=device, dtype=dtype)
        self.mixes_images = training

    def draw(self, iteration: int) -> DrawnNetwork:
        """The network of this iteration."""
        return DrawnNetwork(self._build(iteration).requires_grad_(False).train(self.mixes_images), self._accuracy)
