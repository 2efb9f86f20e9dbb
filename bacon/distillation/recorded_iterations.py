"""Iterations of an algorithm that are wholly recorded: the gradients of its variables, and the steps of their optimisers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.variables import RecordableUpdate, Variables

Gradients = Mapping[str, Tensor]
"""Name of each variable that is moved -> its gradient."""

Compute = Callable[[Given], tuple[Gradients, Mapping[str, Tensor]]]
"""Gradients, and the terms of the history, 0-d; changes nothing but what :attr:`Given.trained` and the like name."""

Move = Callable[[Gradients, Given], None]
"""Moves the variables, in place."""


class RecordedIterations(RecordedSteps):
    """Iterations of the same kernels, one graph of each kind; learning rates have places, so that a schedule is followed.

    On a GPU, PyTorch's fused update reads a rate's place in float32; rates are rounded to that, recorded or not.
    What is not recorded is computed by the same functions. Only the gradients are computed again where memory does not suffice.

    Args:
        context: the algorithm's.
        variables: what is moved. Their optimisers are :class:`~bacon.distillation.variables.RecordableUpdate`.
        count: how many iterations there will be.
        terms: names of the terms of the history.
        moved: further tensors that keep their places and are moved.
        name: what is recorded, for the log.
        refused: why iterations may not be recorded; empty if they may.
        reads_real: as for :class:`RecordedSteps`.
    """

    def __init__(
        self,
        context: Context,
        variables: Variables,
        count: int,
        *,
        terms: Sequence[str],
        moved: Callable[[], Sequence[Tensor]] = tuple,
        name: str = "an iteration",
        refused: str = "",
        reads_real: bool = True,
    ) -> None:
        super().__init__(context, count, name=name, refused=refused, reads_real=reads_real)
        self._variables, self._terms, self._moved_besides = variables, tuple(terms), moved

    def iterate(
        self, compute: Compute, given: Given, *, iteration: int, move: Move | None = None, kind: Hashable = ""
    ) -> dict[str, Tensor]:
        """Move the variables by one iteration; returns its terms (0-d).

        Args:
            compute: what an iteration computes; the same function for every iteration of a kind, and so is ``move``.
            given: as for :class:`RecordedSteps`.
            iteration: for the log.
            move: what follows from the gradients; ``None``: a step of each variable that has one.
            kind: as for :class:`RecordedSteps`.
        """
        memory, device = self._context.memory, self._context.device
        rates = self._rates()
        if not self.may_record():
            gradients, terms = memory.within(lambda: compute(given), iteration=iteration, device=device)
            move(gradients, given) if move else self._variables.step(gradients)
            return dict(terms)
        places = (torch.full((), rate, dtype=self._dtype, device=device) for rate in rates)
        asked = replace(given, tensors=(*given.tensors, *places))
        (found,) = memory.within(
            lambda: self(partial(self._whole, compute, move), asked, kind=kind, moved=self._moved),
            iteration=iteration,
            device=device,
        )
        return dict(zip(self._terms, found.clone().unbind(), strict=True))

    def _updates(self) -> list[RecordableUpdate]:
        return [cast(RecordableUpdate, each.update) for each in self._variables.all.values() if each.update is not None]

    @property
    def _dtype(self) -> torch.dtype:
        """Of a learning rate's place."""
        return torch.float32 if self._context.device.type == "cuda" else torch.float64

    def _rates(self) -> list[float]:
        """The learning rates, rounded to what their places hold."""
        for update in self._updates():
            update.rate = float(torch.tensor(update.rate, dtype=self._dtype))
        return [update.rate for update in self._updates()]

    def _whole(self, compute: Compute, move: Move | None, given: Given) -> tuple[Tensor]:
        """What is recorded."""
        updates = self._updates()
        count = len(given.tensors) - len(updates)
        own = replace(given, tensors=given.tensors[:count])
        gradients, terms = compute(own)
        try:
            for update, place in zip(updates, given.tensors[count:], strict=True):
                update.rate_place = place
            move(gradients, own) if move else self._variables.step(gradients)
        finally:
            for update in updates:
                update.rate_place = None
        return (torch.stack([terms[name] for name in self._terms]),)

    def _moved(self) -> list[Tensor]:
        return [*self._moved_besides(), *(place for each in self._variables.all.values() for place in each.places())]
