"""Forgetting events of each real image, and the images with the most or fewest."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.artifacts.trained_runs import forgetting_counts
from bacon.distillation.algorithm import Context
from bacon.distillation.selection.class_selection import ClassSelection
from bacon.methods.forgetting.record import HISTORIES
from bacon.runtime.draws import device_permutation

if TYPE_CHECKING:
    from bacon.methods.forgetting.record import ForgettingSettings


class Forgetting(ClassSelection):
    """The images of each class that were forgotten most or least often; equal counts in a random order."""

    def __init__(self, settings: ForgettingSettings, context: Context) -> None:
        super().__init__(context, partition=settings.partition)
        self._settings = settings

    @cached_property
    def _events(self) -> Tensor:
        """(N,) int64 on the CPU: events of every real image, added up over networks."""
        runs, summed = self.context.inputs[HISTORIES], self._settings.summed
        chosen = [(self.context.seed * summed + turn) % len(runs) for turn in range(summed)]
        never = self._settings.never_learned
        return torch.stack([events(runs.history(run), never_learned=never) for run in chosen]).sum(dim=0)

    def choose(self, label: int, count: int) -> Tensor:
        """The first ``count`` positions by events."""
        places = self.places(label).cpu()
        ties = device_permutation(
            self.context.seed, "forgetting-ties", count=len(places), device=places.device, lanes=label
        )
        counts = self._events[places][ties]
        order = counts.argsort(stable=True, descending=self._settings.direction == "most")
        return ties[order[:count]].to(self.context.device)


def events(history: Tensor, *, never_learned: str) -> Tensor:
    """Forgetting events of each image (Toneva et al., 2019, algorithm 1).

    Args:
        history: (E, N) bool, whether each image was correct in its batch of each epoch.
        never_learned: what images have that were never correct: ``maximum``, E, more than any other; ``zero``.

    Returns:
        (N,) int64.
    """
    counts = forgetting_counts(history)
    if never_learned == "maximum":
        counts = counts.masked_fill(~history.any(dim=0), len(history))
    return counts
