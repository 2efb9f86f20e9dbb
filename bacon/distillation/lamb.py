"""LAMB, for variables whose steps should be a share of their own size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bacon.distillation.variables import AdamUpdate


class LambUpdate:
    """LAMB (You et al., ICLR 2020) without weight decay: Adam's direction d, with a step of length rate * ||x||.

    x <- x - rate (||x|| / ||d||) d, the ratio being 1 where one of the norms is 0. PyTorch has no LAMB; the direction is
    that of its Adam.

    Args:
        rate: learning rate.
        betas: decay of the means of gradients and of squared gradients.
        epsilon: added to the root of the mean squared gradient.
    """

    def __init__(self, rate: float, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-6) -> None:
        self.rate = rate
        self.rate_place: Tensor | None = None
        self._adam = AdamUpdate(1.0, betas=betas, epsilon=epsilon)

    @torch.no_grad()
    def step(self, values: Tensor, gradient: Tensor) -> None:
        """One step, in place."""
        direction = torch.zeros_like(values)
        self._adam.step(direction, gradient)
        own, length = values.norm(), direction.norm()
        ratio = torch.where((own > 0) & (length > 0), own / length, torch.ones_like(own))
        rate = self.rate if self.rate_place is None else self.rate_place.to(ratio.dtype)
        values.add_(direction * (rate * ratio))

    def places(self, values: Tensor) -> list[Tensor]:
        """Adam's means and number of steps."""
        return self._adam.places(values)

    def state_dict(self) -> dict[str, Any]:
        """Adam's means and number of steps."""
        return self._adam.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave."""
        self._adam.load_state_dict(state)
