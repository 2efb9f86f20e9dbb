"""When label distillation begins a new network: when the one that it trains along no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LAST = 3  # recorded numbers of steps that are averaged


class RestartRule:
    """Counts the steps of a network, and remembers after how many its error was lowest.

    The error is averaged over the last N iterations, from the Nth on. When this average has had no new low for more than N
    iterations, the number of steps at the low is recorded and everything about this network is forgotten.

    Args:
        patience: N.

    Attributes:
        counts: recorded numbers of steps, the last three.
        steps: of the current network.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.counts: list[int] = []
        self._forget()

    def _forget(self) -> None:
        self.steps, self._lowest, self._lowest_at = 0, float("inf"), 0
        self._errors: list[float] = []

    def update(self, error: float) -> bool:
        """Take the error after one more step; returns whether a new network begins."""
        self.steps += 1
        self._errors = [*self._errors, error][-self._patience :]
        if len(self._errors) < self._patience:
            return False
        average = sum(self._errors) / self._patience
        if average < self._lowest:
            self._lowest, self._lowest_at = average, self.steps
        elif self.steps - self._lowest_at > self._patience:
            self.counts = [*self.counts, self._lowest_at][-_LAST:]
            self._forget()
            return True
        return False

    def training_steps(self) -> int:
        """How long a network is trained with the labels: the mean of the recorded numbers, before there is one the current."""
        return round(sum(self.counts) / len(self.counts)) if self.counts else self.steps

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            "counts": list(self.counts),
            "steps": self.steps,
            "lowest": self._lowest,
            "lowest_at": self._lowest_at,
            "errors": list(self._errors),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.counts, self.steps = list(state["counts"]), int(state["steps"])
        self._lowest, self._lowest_at = float(state["lowest"]), int(state["lowest_at"])
        self._errors = list(state["errors"])
