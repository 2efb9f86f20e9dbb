"""What a method computes, as the driver sees it, and what a method is given.

A method's class takes its own settings and a :class:`Context`: ``Class(settings, context)``. The driver iterates, keeps
snapshots, records the history, checks that it is finite, writes checkpoints and the artifact; it knows no method.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.real_images import RealImages
from bacon.networks.build import build_network
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

if TYPE_CHECKING:
    from bacon.settings.distillation import DistillationSettings
    from bacon.settings.network import NetworkSettings


class Algorithm(Protocol):
    """A distillation in progress.

    Attributes:
        iterations: how many :meth:`step` there are; 0 where real images are selected.
        terms: what the history records of each iteration, in order.
    """

    iterations: int
    terms: tuple[str, ...]

    def step(self, iteration: int) -> Mapping[str, Tensor]:
        """Compute iteration ``iteration`` (from 0) without waiting for the device; returns each of :attr:`terms`, 0-d on it."""

    def synthetic(self) -> SyntheticSet:
        """The current synthetic set, class by class; its tensors may be those that the next step changes."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: tensors, numbers and containers of them."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken, to the bit; ``state`` may be used up, so that memory holds it once."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an algorithm receives in addition to its settings.

    Attributes:
        cell: what is computed; its seed is the key of every draw.
        real: the real training set on its device; its dtype is the computation's.
        network: architecture of the networks that it distils with.
        memory: how many images are computed at a time.
        inputs: name of each training need of the record -> the networks trained for it; history and soft labels are in the
            order of ``real``. ``bacon.training.run_networks.run_network`` makes a network of one.
        data_fingerprint: of the data set, normalisation included; ``None``: unknown.
    """

    cell: Cell
    real: RealImages
    network: NetworkSettings
    memory: MemoryLimit = field(default_factory=MemoryLimit)
    inputs: Mapping[str, TrainedRuns] = field(default_factory=dict)
    data_fingerprint: str | None = None

    @property
    def ipc(self) -> int:
        """Stored images per class."""
        assert self.cell.ipc is not None, "the full data set is not distilled"
        return self.cell.ipc

    @property
    def seed(self) -> int:
        """Distillation seed."""
        assert self.cell.seed is not None, "the full data set is not distilled"
        return self.cell.seed

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.real.device

    @cached_property
    def classes(self) -> Tensor:
        """(classes * ipc,) int64 on the device, the class of each stored image: class order."""
        return torch.arange(self.real.classes, device=self.device).repeat_interleave(self.ipc)

    def build(self, index: int, purpose: str = "embedding-network") -> Network:
        """The untrained network with serial number ``index`` among those of ``purpose``."""
        channels, size, _ = self.real.shape
        return build_network(
            self.network,
            channels=channels,
            size=size,
            classes=self.real.classes,
            seed=self.seed,
            purpose=purpose,
            index=index,
            device=self.device,
            dtype=self.real.dtype,
        )


class Selection(ABC):
    """An algorithm that chooses real images, in one go.

    Args:
        context: what it is given.
        partition: stored images hold ``partition^2`` of the chosen ones.
    """

    iterations = 0
    terms: tuple[str, ...] = ()

    def __init__(self, context: Context, *, partition: int = 1) -> None:
        self.context, self.partition = context, partition

    @abstractmethod
    def select(self) -> Tensor:
        """The stored images: (classes * ipc, C, H, W) normalised, in class order."""

    @cached_property
    def _selected(self) -> Tensor:
        return self.select()

    def step(self, iteration: int) -> Mapping[str, Tensor]:
        """Never called: there are no iterations."""
        raise AssertionError(f"a selection has no iteration {iteration}")

    def synthetic(self) -> SyntheticSet:
        """The chosen images."""
        return SyntheticSet(images=self._selected.float(), classes=self.context.classes, partition=self.partition)

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep: the seed names the choice."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to restore: :meth:`state_dict` is empty."""
        del state


def load_algorithm(name: str, settings: DistillationSettings | None, context: Context) -> Algorithm:
    """The algorithm ``module:Class`` of a record, ready for its first iteration.

    Raises:
        BaconError: there is no such module or class.
    """
    module, _, attribute = name.partition(":")
    try:
        algorithm_class = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BaconError(
            f"method {context.cell.method!r}: its algorithm {name!r} cannot be loaded ({error}); a record names it as "
            "module:Class"
        ) from None
    algorithm: Algorithm = algorithm_class(settings, context)
    return algorithm
