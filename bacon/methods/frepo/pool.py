"""FRePo's pool: networks that are trained on the synthetic set while it changes, each for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.pools import Build, DrawnNetwork
from bacon.distillation.real_images import draw_without_replacement
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.networks.network import Network
from bacon.runtime.draws import uniform
from bacon.runtime.streams import Streams
from bacon.settings.recipe import AdamSettings
from bacon.training.adam import Adam
from bacon.training.optimisers import make_adam
from bacon.training.steps import PlainStep

if TYPE_CHECKING:
    from bacon.methods.frepo.record import FRePoSettings


@dataclass
class _Member:
    """A network with its optimiser and the number of its steps."""

    serial: int
    network: Network
    optimiser: Adam
    steps: int


def half_squared_distance(logits: Tensor, _: Tensor, __: Tensor | None, soft: Tensor | None) -> Tensor:
    """Half the squared distance of logits (B, K) and labels ``soft`` (B, K), summed over classes; the mean, 0-d."""
    assert soft is not None, "the labels are always there"
    return (logits - soft).square().sum(dim=1).mean() / 2


class PrototypePool:
    """Networks of different age, one of which is drawn in an iteration, and trained a step after it.

    At the start network i of n counts as one with i / n of its steps behind it, so that they are not all replaced at once.

    On a GPU a network is trained beside the next iteration, unless that draws the same one and waits for it. It is trained on a
    copy of the set, which the iteration moves.

    Args:
        settings: number of networks and their training.
        build: builds the network with a given serial number.
        training: records their steps.
        device: of the networks.
        dtype: of the networks.
        seed: distillation seed.
    """

    def __init__(
        self,
        settings: FRePoSettings,
        build: Build,
        training: RecordedSteps,
        *,
        device: torch.device,
        dtype: torch.dtype,
        seed: int,
    ) -> None:
        self.settings, self._build, self._training, self._device = settings, build, training, device
        self._seed = seed
        self._streams = Streams(device, 1)
        self._trained: int | None = None  # the place of the network whose step may not be done
        self._held: tuple[Tensor, ...] = ()
        self._accuracy = torch.zeros((), device=device, dtype=dtype)
        self._next_serial = 0
        ages = (number * settings.network_steps // settings.networks for number in range(settings.networks))
        self.members = [self._new(age) for age in ages]

    def _new(self, steps: int = 0) -> _Member:
        serial, self._next_serial = self._next_serial, self._next_serial + 1
        return self._member(serial, steps)

    def _member(self, serial: int, steps: int) -> _Member:
        network, rate = self._build(serial), self.settings.lr_net
        optimiser = make_adam(AdamSettings(kind="adam", lr=rate), network.parameters(), rate)
        return _Member(serial, network, optimiser, steps)

    def _place(self, iteration: int) -> int:
        drawn = uniform(self._seed, "pool-draw", count=1, iteration=iteration)[0]
        return int(drawn * len(self.members))

    def draw(self, iteration: int) -> DrawnNetwork:
        """One network, uniformly; its batch norm uses running statistics."""
        place = self._place(iteration)
        if place == self._trained:
            self.settle()
        network = self.members[place].network
        return DrawnNetwork(network.requires_grad_(False).eval(), self._accuracy)

    def advance(self, iteration: int, synthetic: Callable[[], SyntheticSet]) -> None:
        """The iteration's network takes a step on the synthetic set with its labels, or a new one takes its place.

        A batch of all images has them in their order.
        """
        self.settle()
        place = self._place(iteration)
        member = self.members[place]
        if member.steps >= self.settings.network_steps:
            self.members[place] = self._new()
            return
        current = synthetic()
        assert current.soft is not None, "the labels are always there"
        given = Given(
            number=iteration,
            tensors=(current.images.clone(), current.classes, current.soft.clone()),
            trained=(member.network.requires_grad_(True).train(),),
            moved=tuple(member.optimiser.places()),
        )
        self._streams.begin()
        with self._streams.on(0):
            self._training(self._train, given)
        self._trained, self._held = place, given.tensors
        member.steps += 1

    def settle(self) -> None:
        """What is launched from here on comes after the last step of a network."""
        self._streams.end()
        self._trained, self._held = None, ()

    def _train(self, given: Given) -> tuple[()]:
        """A step of a network, in places of its own where it is recorded."""
        (network,), (images, classes, soft) = given.trained, given.tensors
        if self.settings.batch_syn < len(images):
            some = self._some(given.number, len(images))
            images, classes, soft = (part.index_select(0, some) for part in (images, classes, soft))
        optimiser = self.members[0].optimiser.at(network.parameters(), given.moved)
        PlainStep(network, optimiser, loss=half_squared_distance)(images, classes, None, soft)
        return ()

    def _some(self, iteration: int | Tensor, count: int) -> Tensor:
        """(B,) int64 distinct places of ``count`` images, which are more than a batch."""
        one = torch.zeros(1, dtype=torch.int64, device=self._device)
        drawn = draw_without_replacement(
            self._seed,
            "pool-batch",
            iteration=iteration,
            lanes=one,
            populations=torch.full_like(one, count),
            largest=count,
            size=self.settings.batch_syn,
        )
        return drawn[0]

    def state_dict(self) -> dict[str, Any]:
        """Serial numbers, networks, optimisers and steps."""
        self.settle()
        members = [
            {
                "serial": member.serial,
                "network": member.network.state_dict(),
                "optimiser": member.optimiser.state_dict(),
                "steps": member.steps,
            }
            for member in self.members
        ]
        return {"next_serial": self._next_serial, "members": members}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild the members of :meth:`state_dict`, bit for bit."""
        self.settle()
        self.members = []
        for kept in state["members"]:
            member = self._member(kept["serial"], kept["steps"])
            member.network.load_state_dict(kept["network"])
            member.optimiser.load_state_dict(kept["optimiser"])
            self.members.append(member)
        self._next_serial = state["next_serial"]
