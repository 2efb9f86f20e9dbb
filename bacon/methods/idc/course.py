"""How one network learns from real images, pass by pass, with its weights after each: all of it in places of its own."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from bacon.methods.idc.real_training import Piece, RealTraining
from bacon.networks.network import Network
from bacon.runtime.recording import Recording
from bacon.training.steps import PlainStep


@dataclass(frozen=True, kw_only=True)
class _RecordedPiece:
    """The steps on batches of certain sizes, and where the batches are written before."""

    place: Piece
    steps: Recording


class Course:
    """The training of a network from its first weights on; another network takes the same places afterwards.

    Args:
        training: what the network learns.
        like: a network of the architecture, without running statistics, which matching would move.
        states: how many states the network has: one before the first pass, and one after each.

    Attributes:
        iteration: whose network it is; ``None``: of none yet.
        done: states that are kept.
    """

    def __init__(self, training: RealTraining, like: Network, *, states: int) -> None:
        self._training, self._states = training, states
        self._network = copy.deepcopy(like).requires_grad_(True).train()
        self._optimiser = training.optimiser(self._network)
        if training.is_recorded:
            self._optimiser.keep_rate_in_place()
        self._optimiser.fill_momenta()
        self._step = PlainStep(self._network, self._optimiser)
        self._kept = [part.detach().new_empty((states, *part.shape)) for part in self._optimiser.parameters]
        self._recorded: dict[tuple[int, ...], _RecordedPiece] = {}
        self._fresh = like
        self.iteration: int | None = None
        self.done = 0

    def begin(self, fresh: Network, iteration: int) -> None:
        """The next to go through is ``fresh``, the untrained network of ``iteration``."""
        self._fresh, self.iteration, self.done = fresh, iteration, 0  # kept, because another stream reads its memory

    def advance(self) -> None:
        """Launch what leads to the next state, and keep it."""
        if self.done == 0:
            self._start()
            pieces = self._training.warm_up(self._of())
        else:
            pieces = self._training.after(self._of() * self._states + self.done - 1)
        for piece in pieces:
            self._take(piece)
        with torch.no_grad():
            torch._foreach_copy_([kept[self.done] for kept in self._kept], self._optimiser.parameters)
        self.done += 1

    @torch.no_grad()
    def show(self, number: int, network: Network) -> None:
        """Copy the weights after ``number`` passes into ``network``."""
        torch._foreach_copy_(list(network.parameters()), [kept[number] for kept in self._kept])

    def _of(self) -> int:
        assert self.iteration is not None, "a course begins with an untrained network"
        return self.iteration

    @torch.no_grad()
    def _start(self) -> None:
        torch._foreach_copy_(self._optimiser.parameters, list(self._fresh.parameters()))
        torch._foreach_zero_(self._optimiser.momenta())

    def _take(self, piece: Piece) -> None:
        """The steps on the batches of a piece, on a GPU as one graph."""
        if piece.sizes not in self._recorded:
            place = Piece(tensors=tuple(tensor.clone() for tensor in piece.tensors), sizes=piece.sizes)
            steps = Recording(
                lambda: self._steps(place),
                self._moved,
                name="a pass over real images",
                record=self._training.is_recorded,
                raises=True,
            )
            self._recorded[piece.sizes] = _RecordedPiece(place=place, steps=steps)
        recorded = self._recorded[piece.sizes]
        for own, given in zip(recorded.place.tensors, piece.tensors, strict=True):
            own.copy_(given)
        recorded.steps()

    def _steps(self, place: Piece) -> None:
        for batch in place.batches():
            self._step(*batch)

    def _moved(self) -> list[Tensor]:
        return [*self._optimiser.parameters, *self._optimiser.momenta()]
