"""A queue of partly trained networks, which are trained a little while they are used (IDM, BACON)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.pools import Build, DrawnNetwork
from bacon.distillation.queue_training import RoundDraws, Rounds, Trained
from bacon.distillation.real_images import RealImages
from bacon.networks.network import Network
from bacon.runtime.draws import uniform, words
from bacon.runtime.logs import get_logger
from bacon.training.sgd import Sgd
from bacon.training.steps import PlainStep

if TYPE_CHECKING:
    from bacon.settings.pools import NetworkQueue

log = get_logger(__name__)


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
        shared: train copies of the networks, in places of their own that are recorded on a GPU
            (``bacon.distillation.queue_training``); the same numbers.

    Attributes:
        overlaps: where ``shared``, whether networks are trained while the iteration's step is computed, and side by side;
            otherwise after it and one after another, with the same numbers.
    """

    def __init__(
        self, settings: NetworkQueue, build: Build, real: RealImages, *, seed: int, shared: bool = False
    ) -> None:
        self.settings, self._build, self._real, self._seed = settings, build, real, seed
        self._is_shared, self.overlaps = shared, True
        self._can_refuse = real.device.type == "cuda"  # memory; a CPU's failure is another error, and ends the job
        self._rounds: Rounds | None = None
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

    def start(self, iteration: int) -> None:
        """Launch the training of this iteration, where it runs beside the iteration's step."""
        if not (self._is_shared and self.overlaps and self.settings.model_train_steps):
            return
        chosen = [Trained(member.network, member.optimiser) for member in self.chosen_for_training(iteration)]
        try:
            self._own_rounds().begin(chosen, iteration)
            return
        except torch.OutOfMemoryError:
            pass
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        self.make_room(iteration)

    def make_room(self, iteration: int) -> bool:
        """Train one network after another from here on, after the iteration's step; what has begun is repeated then."""
        if not (self._is_shared and self.overlaps):
            return False
        log.warning(
            "iteration %d: out of device memory; from here on networks are trained one after another, and not beside the "
            "iteration's step, for the rest of this job",
            iteration,
        )
        self.overlaps = False
        self._own_rounds().give_up()
        return True

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """Train some of the networks on real images."""
        del synthetic
        self.train(iteration)

    def train(self, iteration: int) -> None:
        """SGD steps of the chosen networks on real batches of all classes, unaugmented; their meters record."""
        if self.settings.model_train_steps == 0:
            return
        if not self._is_running:
            self.start(iteration)
        chosen = self.chosen_for_training(iteration)
        if self._is_running:
            for member, correct in zip(chosen, self._own_rounds().end(), strict=True):
                self._count(member, correct, self._draws.images)
            return
        for place, member in enumerate(chosen):
            if not (self._is_shared and self._train_in_round(member, iteration, place)):
                self._train_as_it_is(member, iteration, place)

    @property
    def _is_running(self) -> bool:
        return self._rounds is not None and self._rounds.is_running

    def _own_rounds(self) -> Rounds:
        if self._rounds is None:
            record = self._real.device.type == "cuda"
            self._rounds = Rounds(self._draws, places=self.settings.networks_trained, record=record)
        return self._rounds

    @property
    def _draws(self) -> RoundDraws:
        size = min(self.settings.batch_train, len(self._real.labels))
        return RoundDraws(real=self._real, seed=self._seed, steps=self.settings.model_train_steps, size=size)

    def _train_in_round(self, member: Member, iteration: int, place: int) -> bool:
        """A member's steps in a place of their own; false, and the member as it was, where memory does not suffice for that.

        A batch cannot be halved without another result. But a recorded step keeps the memory of all its maps for itself, so
        nothing is recorded from then on.
        """
        rounds = self._own_rounds()
        try:
            correct = rounds.alone(Trained(member.network, member.optimiser), iteration, place)
            self._count(member, correct, self._draws.images)
            return True
        except torch.OutOfMemoryError:
            log.warning(
                "iteration %d: out of device memory in a network's training steps; they are repeated, and no longer "
                "recorded for the rest of this job",
                iteration,
            )
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        self._is_shared = False
        rounds.give_up()
        return False

    def _train_as_it_is(self, member: Member, iteration: int, place: int) -> None:
        """A member's steps, in place; if the device runs out of memory, again from where they began."""
        indices = self._draws.indices(iteration, place)
        # A member that has been tried in a round has had its second chance.
        if not self._can_refuse or self._rounds is not None:
            self._train(member, indices)
            return
        before = member.copied()
        try:
            self._train(member, indices)
            return
        except torch.OutOfMemoryError:
            log.warning(
                "iteration %d: out of device memory in a network's training steps; they are repeated", iteration
            )
        member.load_state_dict(before)
        if self._real.device.type == "cuda":
            torch.cuda.empty_cache()
        self._train(member, indices)

    def _train(self, member: Member, indices: Tensor) -> None:
        member.network.requires_grad_(True).train()
        step = PlainStep(member.network, member.optimiser)
        step.count()
        for batch in indices:
            step(self._real.batch(batch), self._real.labels[batch])
        self._count(member, step.totals[1], indices.numel())

    @staticmethod
    def _count(member: Member, correct: Tensor, images: int) -> None:
        member.correct = member.correct + correct.to(member.correct.dtype)
        member.seen += images

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
