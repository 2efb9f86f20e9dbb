"""Synthetic images as pixels in [0, 1], moved by the published loop over classes: one step per class, on all images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages


class PixelRounds:
    """Pixels that move in rounds of one SGD step with momentum m for each of C classes, in the order of the classes.

    A step b <- m b + g, x <- x - lr b moves all images; at the turn of a class, g is zero for the others. So class c (from 0)
    makes c steps by momentum alone before its own turn, and C - 1 - c after it. Both are geometric sums: k such steps move x
    by -lr b (m + ... + m^k) and leave m^k b. Images after a round are those of the loop.

    Of a whitened data set there are no pixels: images are then moved as they are, without bounds.

    Args:
        images: (classes * ipc, C, H, W) float, normalised.
        real: its classes and its normalisation.
        rate: learning rate lr.
        momentum: m.
    """

    def __init__(self, images: Tensor, real: RealImages, *, rate: float, momentum: float) -> None:
        self._rate, self._momentum, self._is_bounded = rate, momentum, not real.is_whitened
        self._std = real.pixel_std if self._is_bounded else torch.ones_like(real.pixel_std)
        self._mean = real.pixel_mean if self._is_bounded else torch.zeros_like(real.pixel_mean)
        self.pixels = images.mul(self._std).add_(self._mean).unflatten(0, (real.classes, -1))
        self._buffer = torch.zeros_like(self.pixels)
        turns = torch.arange(real.classes, device=images.device, dtype=images.dtype)[:, None, None, None, None]
        self._before, self._after = momentum**turns, momentum ** (real.classes - 1 - turns)
        self.clamp()

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels (..., C, H, W) as networks see them; differentiable."""
        return (pixels - self._mean) / self._std

    def clamp(self) -> None:
        """Bring all pixels into [0, 1]."""
        if self._is_bounded:
            self.pixels.clamp_(0, 1)

    @torch.no_grad()
    def approach(self) -> None:
        """Move each class through the turns before its own; :meth:`take` completes the round."""
        self._coast(self._before)

    @torch.no_grad()
    def take(self, gradient: Tensor) -> None:
        """Each class's own step along the gradient (classes, ipc, C, H, W) of its pixels, and the turns after it."""
        self._buffer.mul_(self._momentum).add_(gradient)
        self.pixels.sub_(self._buffer, alpha=self._rate)
        self._coast(self._after)

    def _coast(self, decay: Tensor) -> None:
        """Steps without a gradient, k for a class whose ``decay`` is m^k."""
        share = self._momentum * (1 - decay) / (1 - self._momentum)
        self.pixels.sub_(self._buffer * share, alpha=self._rate)
        self._buffer.mul_(decay)

    def state_dict(self) -> dict[str, Any]:
        """Pixels and momentum."""
        return {"pixels": self.pixels, "momentum": self._buffer}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the tensors of :meth:`state_dict`."""
        self.pixels, self._buffer = state["pixels"], state["momentum"]
