"""What a distillation optimises, each with its optimiser: synthetic images so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor


def image_step(
    images: Tensor, momentum_buffer: Tensor, gradient: Tensor, *, rate: float, momentum: float, turns: int = 1
) -> None:
    """One momentum step of the images, in place, or the published loop over classes in one.

    One turn is SGD with momentum m: b <- m b + g, x <- x - lr b. The published loop takes one step over the whole tensor for
    each of C classes; seen from one turn of a class to its next: at its turn b <- m b + g and x <- x - lr b, and at each of
    the other C - 1 turns b <- m b and x <- x - lr b. With b the buffer at the turn: b <- m^C b + g,
    x <- x - lr b (1 - m^C) / (1 - m).

    Args:
        images: (M, C, H, W) float.
        momentum_buffer: like the images.
        gradient: like the images; of each class's images at its own turn.
        rate: learning rate lr.
        momentum: m.
        turns: 1, or the number of classes that take turns.
    """
    decay = momentum**turns
    momentum_buffer.mul_(decay).add_(gradient)
    images.sub_(momentum_buffer, alpha=rate * (1 - decay) / (1 - momentum))


class ImageVariables:
    """Synthetic images with SGD and momentum.

    Args:
        images: (classes * ipc, C, H, W) float, class order, moved in place.
        rate: learning rate.
        momentum: of SGD.
        update: ``joint``: one step; ``per_class``: the published loop over the classes as one exact step, which holds where a
            class's gradient does not depend on the images of the others.
    """

    def __init__(self, images: Tensor, *, rate: float, momentum: float, update: Literal["joint", "per_class"]) -> None:
        self.images, self.momentum = images, torch.zeros_like(images)
        self._rate, self._momentum, self._update = rate, momentum, update

    def step(self, gradient: Tensor, *, classes: int) -> None:
        """Move the images against the gradient (classes * ipc, C, H, W)."""
        turns = classes if self._update == "per_class" else 1
        image_step(self.images, self.momentum, gradient, rate=self._rate, momentum=self._momentum, turns=turns)

    def state_dict(self) -> dict[str, Any]:
        """Images and momentum."""
        return {"images": self.images, "momentum": self.momentum}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the tensors of :meth:`state_dict`."""
        self.images, self.momentum = state["images"], state["momentum"]
