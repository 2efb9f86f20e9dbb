"""Which weights of a student's steps are kept on the way there, so that few steps are taken again on the way back.

The way back needs the weights before every step, the last step's first. With places for all of them, none is computed again.
With fewer, the steps are divided into as many segments as there are places: the weights before each segment are kept, and those
inside it are computed again when its turn comes, in the places that the later segments have left. So the first segments may be
long, and most are single steps: at most ``places`` weights are held at a time, and each step is taken again at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

import torch
from torch import Tensor

from bacon.settings.run import WAITING_WEIGHTS_BYTES


def least_places(steps: int) -> int:
    """The fewest places with which no step is taken again more than once: S of them do for S (S + 1) / 2 steps."""
    places = 1
    while places * (places + 1) // 2 < steps:
        places += 1
    return places


def first_steps(steps: int, places: int) -> list[int]:
    """The first step of each segment, ascending.

    Args:
        steps: all of them.
        places: for weights, at least :func:`least_places`.
    """
    segments = min(places, steps)
    lengths, left = [], steps - segments
    for segment in range(segments):
        more = min(left, places - segment - 1)
        lengths.append(1 + more)
        left -= more
    assert left == 0, f"{places} places are too few for {steps} steps"
    return [0, *accumulate(lengths)][:-1] if lengths else []


class KeptWeights:
    """The weights before some of the steps, in one block of memory; a GPU's wait in the host's, unless the steps are recorded.

    Args:
        steps: number of steps.
        places: for weights (P,), at least :func:`least_places`.
        weights: (P,) float, for their shape, type and device.
    """

    def __init__(self, steps: int, places: int, weights: Tensor) -> None:
        self._steps, self._device = steps, weights.device
        self._starts = first_steps(steps, places)
        self._wanted = frozenset(self._starts)
        # One block: single tensors would lie between those that a step allocates and frees, and leave gaps that nothing fits.
        size = (min(steps, places), *weights.shape)
        stays = weights.is_cuda and torch.cuda.is_current_stream_capturing()  # a replay copies nothing to the host
        place = weights.device if stays else torch.device("cpu")
        self._rows = torch.empty(size, dtype=weights.dtype, device=place, pin_memory=weights.is_cuda and not stays)
        self._free = list(range(len(self._rows)))
        self._kept: list[int] = []

    def pass_by(self, step: int, weights: Tensor) -> None:
        """Keep the weights before ``step`` if they are among those; called for every step in their order."""
        if step in self._wanted:
            self._kept.append(self._put_aside(weights))

    def backwards(self, after: Callable[[int, Tensor], Tensor]) -> Iterator[tuple[int, Tensor]]:
        """Every step and the weights before it, the last step first; what is kept is used up.

        Weights are there until the next are asked for.

        Args:
            after: step and the weights before it -> those after it.
        """
        end = self._steps
        while self._kept:
            first = self._starts.pop()
            path = [self._kept.pop()]
            weights = self._taken(path[0])
            for step in range(first, end - 1):
                weights = after(step, weights)
                path.append(self._put_aside(weights))
            del weights
            for step in reversed(range(first, end)):
                yield step, self._taken(path[-1])
                self._free.append(path.pop())
            end = first

    def _put_aside(self, weights: Tensor) -> int:
        row = self._free.pop()
        self._rows[row].copy_(weights, non_blocking=True)
        return row

    def _taken(self, row: int) -> Tensor:
        return self._rows[row].to(self._device, non_blocking=True)


def host_places(weights: Tensor) -> int:
    """Places in the host's page-locked memory for weights of a GPU."""
    return WAITING_WEIGHTS_BYTES // max(1, weights.nbytes)
