"""How the networks of a queue take an iteration's training steps: in places of their own, side by side, beside the matching.

A network is copied into a place, trained there, and copied back when the iteration is over. Until then whoever reads the queue,
as the matching does, sees its networks and meters as they were: the order of every result is that of one thing after another.
On a GPU each place has a stream, and its steps are recorded; a CPU does the same work at once, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages
from bacon.networks.network import Network
from bacon.runtime.recording import Recording
from bacon.runtime.streams import Streams
from bacon.training.sgd import Sgd
from bacon.training.steps import PlainStep, copied_training, copy_training


class Trained(NamedTuple):
    """A network of the queue with its optimiser."""

    network: Network
    optimiser: Sgd


@dataclass(frozen=True, kw_only=True)
class RoundDraws:
    """The real images of a network's steps in an iteration: a function of seed, iteration and place.

    Attributes:
        real: the training set.
        seed: distillation seed.
        steps: steps of a network in an iteration.
        size: images of a step.
    """

    real: RealImages
    seed: int
    steps: int
    size: int

    @property
    def images(self) -> int:
        """Images of a network's steps in an iteration, each as often as it is used."""
        return self.steps * self.size

    def indices(self, iteration: int | Tensor, place: int | Tensor) -> Tensor:
        """(steps, size) int64 for the network that is the ``place``-th of an iteration.

        Both numbers are ints, or 0-d int64 tensors on the device where the draw is recorded.
        """
        first = place * self.steps
        return self.real.sample_all(
            self.seed, "queue-batch", iteration=iteration, lanes=self.steps, size=self.size, first_lane=first
        )


class Round:
    """A network's steps of an iteration, in places of their own.

    Args:
        like: one of the networks, whose copy is worked on, and its optimiser.
        draws: the images of the steps.
        record: replay the steps, with their draws, as one CUDA graph.
    """

    def __init__(self, like: Trained, draws: RoundDraws, *, record: bool) -> None:
        self._draws, self._record = draws, record
        self._own = Trained(*copied_training(*like))
        if record:
            self._own.optimiser.keep_rate_in_place()
        self._own.optimiser.fill_momenta()
        self._step = PlainStep(*self._own)
        self._step.count()
        self._at = torch.zeros(2, dtype=torch.int64, device=draws.real.device)
        self._indices: Tensor | None = None
        self._recording = Recording(
            self._steps, self._moved, name="a round of the queue's training", record=record, raises=True
        )

    @property
    def is_recorded(self) -> bool:
        """Whether the round is replayed."""
        return self._recording.is_recorded

    def begin(self, member: Trained, iteration: int, place: int) -> None:
        """Train a copy of ``member``, the ``place``-th network of ``iteration``; the member stays as it is."""
        copy_training(*member, *self._own)
        self._step.count()
        if self._record:
            self._at[0].fill_(iteration)
            self._at[1].fill_(place)
        else:  # drawn by numbers that the host knows, which is faster on a CPU; the draws are the same
            self._indices = self._draws.indices(iteration, place)
        self._recording()

    def end(self, member: Trained) -> Tensor:
        """Copy the trained network into ``member``; returns its number of correct images, 0-d float64, to be used at once."""
        copy_training(*self._own, *member)
        return self._step.totals[1]

    def _steps(self) -> None:
        """What is recorded: only iteration and place change, and they have their places."""
        indices = self._draws.indices(self._at[0], self._at[1]) if self._indices is None else self._indices
        for batch in indices:
            self._step(self._draws.real.batch(batch), self._draws.real.labels[batch])

    def _moved(self) -> list[Tensor]:
        own = self._own
        return [*own.optimiser.parameters, *own.optimiser.momenta(), *own.network.buffers(), self._step.totals]


class Rounds:
    """The rounds of an iteration's networks: side by side, or one after another.

    Args:
        draws: the images of the steps.
        places: networks that are trained in an iteration, at the most.
        record: replay rounds as CUDA graphs.
    """

    def __init__(self, draws: RoundDraws, *, places: int, record: bool) -> None:
        self._draws, self._record = draws, record
        self._streams = Streams(draws.real.device, places)
        self._rounds: dict[int, Round] = {}
        self._running: list[Trained] = []

    @property
    def is_running(self) -> bool:
        """Whether rounds have begun side by side and not ended."""
        return bool(self._running)

    @property
    def is_recorded(self) -> bool:
        """Whether every round is replayed."""
        return bool(self._rounds) and all(each.is_recorded for each in self._rounds.values())

    def begin(self, members: Sequence[Trained], iteration: int) -> None:
        """Launch the rounds of ``members``, one in each place; the members stay as they are until :meth:`end`."""
        self._streams.begin()
        self._running = list(members)
        for place, member in enumerate(members):
            with self._streams.on(place):
                self._at(place, member).begin(member, iteration, place)

    def end(self) -> list[Tensor]:
        """The trained networks replace those that began; returns the number of correct images of each, to be used at once."""
        self._streams.end()
        members, self._running = self._running, []
        return [self._rounds[place].end(member) for place, member in enumerate(members)]

    def alone(self, member: Trained, iteration: int, place: int) -> Tensor:
        """The round of the ``place``-th network of an iteration, in the first place and to its end; returns as :meth:`end`."""
        own = self._at(0, member)
        own.begin(member, iteration, place)
        return own.end(member)

    def give_up(self) -> None:
        """Forget the rounds that are running and give their memory back; the members have not changed."""
        self._running = []
        device = self._draws.real.device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self._rounds.clear()
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def _at(self, place: int, like: Trained) -> Round:
        if place not in self._rounds:
            self._rounds[place] = Round(like, self._draws, record=self._record)
        return self._rounds[place]
