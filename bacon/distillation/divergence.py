"""A distillation that runs off to huge but finite numbers: noticed, said with what to lower, and kept in the artifact.

Synthetic images need not lie in the range of real ones, and single pixels go far outside without harm. An image whose root
mean square is ten times the largest real pixel is none any more: with normalised pixels that is some 25 standard deviations,
where the images that the methods' own settings give stay below half of it, nearly all near 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages

INTERVAL = 100
"""Iterations between two looks; each one waits for the device."""
_IMAGE_FACTOR = 10.0
_LOSS_FACTOR = 1e6
_SAMPLE = 512


def largest_pixel(real: RealImages) -> float:
    """The largest absolute value in some real images, evenly spaced over the classes, as a network sees them."""
    places = torch.linspace(0, len(real.labels) - 1, min(_SAMPLE, len(real.labels)), dtype=torch.float64).round()
    return float(real.batch(places.to(real.device, torch.int64)).abs().max())


class Divergence:
    """Watches images and loss; the first that is out of all proportion is kept.

    Args:
        largest_real: as :func:`largest_pixel` gives it.

    Attributes:
        found: iteration, and what was seen, in words; ``None``: nothing so far.
    """

    def __init__(self, largest_real: float) -> None:
        self.largest_real = largest_real
        self.found: str | None = None
        self._first_loss: float | None = None

    def look(self, iteration: int, images: Tensor, loss: Tensor | None) -> bool:
        """Look at the state after iteration ``iteration``; returns whether it is the first that has diverged.

        Args:
            iteration: from 0.
            images: (M, C, H, W) the synthetic images.
            loss: 0-d, the total of the last iteration; ``None``: the method records none.
        """
        if self.found is None:
            self.found = self._images(iteration, images) or self._loss(iteration, loss)
            return self.found is not None
        return False

    def _images(self, iteration: int, images: Tensor) -> str | None:
        flat = images.detach().flatten(1)
        size = float(torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64).max()) / math.sqrt(flat.shape[1])
        if not size > _IMAGE_FACTOR * self.largest_real:  # not finite is an error of its own
            return None
        return (
            f"iteration {iteration}: the root mean square of an image is {size:.3g}, {size / self.largest_real:.3g} times the "
            f"largest real pixel ({self.largest_real:.3g})"
        )

    def _loss(self, iteration: int, loss: Tensor | None) -> str | None:
        if loss is None or not math.isfinite(value := float(loss)):
            return None
        if self._first_loss is None:
            self._first_loss = value
        if abs(value) <= _LOSS_FACTOR * max(1.0, abs(self._first_loss)):
            return None
        return f"iteration {iteration}: the loss is {value:.3g}; it was {self._first_loss:.3g} at first"

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far."""
        return {"found": self.found, "first_loss": self._first_loss}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after :meth:`state_dict`."""
        self.found, self._first_loss = state["found"], state["first_loss"]
