"""Where the embedding networks come from: fresh ones (DM), or a queue of partly trained ones (IDM, BACON).

Pools of networks that were trained before distillation are in ``bacon.distillation.trained_pools``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.real_images import RealImages
from bacon.networks.network import Network
from bacon.runtime.draws import uniform, words
from bacon.runtime.logs import get_logger
from bacon.training.sgd import Sgd
from bacon.training.steps import PlainStep, SharedStep

if TYPE_CHECKING:
    from bacon.settings.pools import NetworkQueue

log = get_logger(__name__)

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

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """Train networks a little after the iteration's step, on real images or on the current synthetic set."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: tensors, numbers and containers of them."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the pool that :meth:`state_dict` was taken from; ``state`` may be used up by it."""


class UntrainedPool:
    """What pools share whose networks are not trained while they are used, and which keep no state."""

    def begin(self, iteration: int) -> None:
        """Nothing to prepare."""

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """Nothing to train."""

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
    """

    def __init__(self, build: Build, *, device: torch.device, dtype: torch.dtype, training: bool = False) -> None:
        self._build, self._accuracy = build, torch.zeros((), device=device, dtype=dtype)
        self._training = training

    def draw(self, iteration: int) -> DrawnNetwork:
        """The network of this iteration."""
        return DrawnNetwork(self._build(iteration).requires_grad_(False).train(self._training), self._accuracy)


@dataclass
class Member:
    """A network of the queue with its optimiser and its accuracy meter."""

    serial: int
    network: Network
    optimiser: Sgd
    correct: Tensor
    seen: int = 0

    def accuracy(self) -> Tensor:
        """Training accuracy in percent since the last reset; zero before any training (0-d, on the device)."""
        return 100 * self.correct / max(self.seen, 1)

    def reset_meter(self) -> None:
        """Forget the accuracy."""
        self.correct, self.seen = torch.zeros_like(self.correct), 0

    def state_dict(self) -> dict[str, Any]:
        """Serial number, network, optimiser and meter."""
        return {
            "serial": self.serial,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "correct": self.correct,
            "seen": self.seen,
        }

    def copied(self) -> dict[str, Any]:
        """:meth:`state_dict`, which further training leaves as it is."""
        return copy.deepcopy(self.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what :meth:`state_dict` was taken from, but for the serial number."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.correct, self.seen = state["correct"], state["seen"]


class Queue:
    """The network queue of IDM and BACON (docs/algorithms.md).

    Args:
        settings: sizes, intervals and the networks' optimiser.
        build: builds the network with a given serial number.
        real: the training set the networks are trained on.
        seed: distillation seed.
        shared: train through one set of buffers (``bacon.training.steps``), recorded on a GPU; the same numbers.
    """

    def __init__(
        self, settings: NetworkQueue, build: Build, real: RealImages, *, seed: int, shared: bool = False
    ) -> None:
        self.settings, self._build, self._real, self._seed = settings, build, real, seed
        self._is_shared = shared
        self._can_refuse = real.device.type == "cuda"  # memory; a CPU's failure is another error, and ends the job
        self._shared: SharedStep | None = None
        self.members: list[Member] = []
        self._next_serial = 0
        for _ in range(settings.start):
            self.push()

    def push(self) -> None:
        """Add a fresh network; the oldest is dropped where there are more than ``capacity``."""
        network = self._build(self._next_serial)
        optimiser = Sgd(
            network.parameters(),
            lr=self.settings.lr_net,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
        )
        correct = torch.zeros((), device=self._real.device, dtype=self._real.dtype)
        self.members = [*self.members, Member(self._next_serial, network, optimiser, correct)]
        self.members = self.members[-self.settings.capacity :]
        self._next_serial += 1

    def begin(self, iteration: int) -> None:
        """Reset the meters, then push a fresh network, at their intervals (iteration 0 included)."""
        if iteration % self.settings.meter_interval == 0:
            for member in self.members:
                member.reset_meter()
        if iteration % self.settings.net_generate_interval == 0:
            self.push()

    def draw(self, iteration: int) -> DrawnNetwork:
        """One network, uniformly."""
        position = int(uniform(self._seed, "queue-draw", count=1, iteration=iteration)[0] * len(self.members))
        member = self.members[position]
        return DrawnNetwork(member.network.requires_grad_(False).eval(), member.accuracy())

    def chosen_for_training(self, iteration: int) -> list[Member]:
        """The networks trained in this iteration: drawn without replacement, at most all of them."""
        order = np.argsort(
            words(self._seed, "queue-train", count=len(self.members), iteration=iteration), kind="stable"
        )
        return [self.members[position] for position in order[: self.settings.networks_trained]]

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """Train some of the networks on real images."""
        del synthetic
        self.train(iteration)

    def train(self, iteration: int) -> None:
        """SGD steps of the chosen networks on real batches of all classes, unaugmented; their meters record."""
        steps = self.settings.model_train_steps
        if steps == 0:
            return
        size = min(self.settings.batch_train, len(self._real.labels))
        chosen = self.chosen_for_training(iteration)
        lanes = len(chosen) * steps
        indices = self._real.sample_all(self._seed, "queue-batch", iteration=iteration, lanes=lanes, size=size)
        for number, member in enumerate(chosen):
            self._train_in_memory(member, indices[number * steps : (number + 1) * steps], iteration)

    def _train_in_memory(self, member: Member, indices: Tensor, iteration: int) -> None:
        """Steps on the batches ``indices``; if the device runs out of memory, again from where they began.

        A batch cannot be halved without another result. But a recorded step keeps the memory of all its maps for itself, so
        nothing is recorded from then on.
        """
        if not self._can_refuse:
            self._train(member, indices)
            return
        before = None if self._is_shared else member.copied()  # shared steps move the member when all are taken
        try:
            self._train(member, indices)
            return
        except torch.OutOfMemoryError:
            log.warning(
                "iteration %d: out of device memory in a network's training steps; they are repeated%s",
                iteration,
                ", and no longer recorded for the rest of this job" if self._is_shared else "",
            )
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        self._is_shared, self._shared = False, None
        if before is not None:
            member.load_state_dict(before)
        if self._real.device.type == "cuda":
            torch.cuda.empty_cache()
        self._train(member, indices)

    def _train(self, member: Member, indices: Tensor) -> None:
        member.network.requires_grad_(True).train()
        if self._is_shared:
            self._train_shared(member, indices)
            return
        step = PlainStep(member.network, member.optimiser)
        step.count()
        for batch in indices:
            step(self._real.batch(batch), self._real.labels[batch])
        self._count(member, step.totals[1], indices)

    def _train_shared(self, member: Member, indices: Tensor) -> None:
        if self._shared is None:
            record = self._real.device.type == "cuda"
            self._shared = SharedStep(member.network, member.optimiser, record=record)
        batches = ((self._real.batch(batch), self._real.labels[batch]) for batch in indices)
        correct = self._shared.train(member.network, member.optimiser, batches)
        self._count(member, correct, indices)

    @staticmethod
    def _count(member: Member, correct: Tensor, indices: Tensor) -> None:
        member.correct = member.correct + correct.to(member.correct.dtype)
        member.seen += indices.numel()

    def state_dict(self) -> dict[str, Any]:
        """Serial numbers, networks, optimisers and meters, oldest first."""
        return {"next_serial": self._next_serial, "members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild the members of :meth:`state_dict`, bit for bit, and take them out of it, so that none is in memory twice.

        Raises:
            KeyError: another queue has taken them.
        """
        self.members, waiting = [], state.pop("members")
        while waiting:
            kept = waiting.pop(0)
            self._next_serial = kept["serial"]
            self.push()
            self.members[-1].load_state_dict(kept)
        self._next_serial = state["next_serial"]
