"""An iteration's matching, and the step of the images that follows, replayed on a GPU as one CUDA graph.

What changes from one iteration to the next has places of its own: the number of the iteration, by which the real images and the
augmentation are drawn on the device, the network that was drawn, and its accuracy. Everything else stays where it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from bacon.distillation.pools import DrawnNetwork
from bacon.runtime.logs import get_logger
from bacon.runtime.recording import Recording

log = get_logger(__name__)

# Recording costs about as much as four iterations.
_WORTH_RECORDING = 100

Compute = Callable[[Tensor, DrawnNetwork], Mapping[str, Tensor]]
"""Moves the images by an iteration, whose number is 0-d int64 on the device; returns each term, 0-d."""


def worth_recording(device: torch.device, iterations: int) -> bool:
    """Whether ``iterations`` on ``device`` are enough to pay for recording one."""
    if device.type == "cuda" and iterations < _WORTH_RECORDING:
        log.info("matching is not recorded as a CUDA graph: %d iterations do not pay for it", iterations)
    return device.type == "cuda" and iterations >= _WORTH_RECORDING


class RecordedStep:
    """Iterations in places of their own.

    Args:
        compute: an iteration.
        terms: names of the terms that it returns.
        moved: what an iteration moves, in place; it is all there.
        like: a network as it is drawn, of which a copy is used, and its accuracy.
    """

    def __init__(
        self,
        compute: Compute,
        terms: Sequence[str],
        moved: Callable[[], Sequence[Tensor]],
        *,
        like: DrawnNetwork,
    ) -> None:
        self._compute, self._names, self._images_moved = compute, tuple(terms), moved
        self._drawn = DrawnNetwork(copy.deepcopy(like.network), like.accuracy.clone())
        self._iteration = torch.zeros((), dtype=torch.int64, device=like.accuracy.device)
        self._terms = like.accuracy.new_zeros(len(self._names))
        self._recording = Recording(self._work, self._moved, name="an iteration's matching", record=True, raises=True)

    @property
    def is_recorded(self) -> bool:
        """Whether iterations are replayed."""
        return self._recording.is_recorded

    @torch.no_grad()
    def __call__(self, iteration: int, drawn: DrawnNetwork) -> dict[str, Tensor]:
        """Iteration ``iteration`` in the network ``drawn``; returns the terms, 0-d."""
        ours, theirs = self._drawn.network.state_dict(), drawn.network.state_dict()
        torch._foreach_copy_(list(ours.values()), list(theirs.values()))
        self._drawn.accuracy.copy_(drawn.accuracy)
        self._iteration.fill_(iteration)
        with torch.enable_grad():
            self._recording()
        return dict(zip(self._names, self._terms.clone().unbind(), strict=True))

    def _work(self) -> None:
        """What is recorded."""
        terms = self._compute(self._iteration, self._drawn)
        self._terms.copy_(torch.stack([terms[name].detach() for name in self._names]))

    def _moved(self) -> list[Tensor]:
        return [*self._images_moved(), *self._drawn.network.buffers()]
