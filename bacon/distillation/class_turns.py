"""Images in [0, 1] that the published loop over classes moves: one optimiser step per class, on all images.

At the turn of a class the gradient of all other classes is zero, but momentum and weight decay move them. A class's gradient
depends on its own images alone, so those of all classes can be computed in one pass, if each class is first moved through the
turns before its own. Then come its own step and the turns after it. The images after a round are those of the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages
from bacon.training.adam import Adam


class Turn(Protocol):
    """An optimiser that steps on some of the classes; every tensor is (k, ipc, C, H, W) of neighbouring classes.

    A round with one rate launches the same kernels on the same tensors every time, so that it can be recorded.

    Attributes:
        rate: learning rate.
    """

    rate: float

    def places(self) -> list[Tensor]:
        """What a step moves besides the pixels, in place."""

    def step(self, pixels: Tensor, gradient: Tensor, classes: slice, place: int) -> None:
        """Move ``pixels`` of ``classes`` in place; it is turn ``place`` of the round."""

    def end(self, turns: int) -> None:
        """A round of ``turns`` is over."""

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""


class MomentumTurn:
    """SGD with momentum m: b <- m b + g, x <- x - lr b.

    Args:
        like: (classes, ipc, C, H, W) images.
        rate: learning rate.
        momentum: m.
    """

    def __init__(self, like: Tensor, *, rate: float, momentum: float) -> None:
        self.rate, self._momentum, self._buffer = rate, momentum, torch.zeros_like(like)

    def places(self) -> list[Tensor]:
        """The momentum."""
        return [self._buffer]

    def step(self, pixels: Tensor, gradient: Tensor, classes: slice, place: int) -> None:
        """One step of ``classes``."""
        del place
        buffer = self._buffer[classes].mul_(self._momentum).add_(gradient)
        pixels.sub_(buffer, alpha=self.rate)

    def end(self, turns: int) -> None:
        """Nothing is counted."""

    def state_dict(self) -> dict[str, Any]:
        """Rate and momentum."""
        return {"rate": self.rate, "momentum": self._buffer}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over rate and momentum."""
        self.rate, self._buffer = state["rate"], state["momentum"]


class AdamWTurn:
    """AdamW (Loshchilov and Hutter, 2019), PyTorch's fused update; the number of steps is on the device.

    Args:
        like: (classes, ipc, C, H, W) images.
        rate: learning rate.
        weight_decay: images shrink by rate * weight_decay in every step.
    """

    def __init__(self, like: Tensor, *, rate: float, weight_decay: float) -> None:
        self.rate = rate
        self._adam = Adam([like], lr=rate, betas=(0.9, 0.999), epsilon=1e-8, weight_decay=weight_decay, decoupled=True)

    def places(self) -> list[Tensor]:
        """Both means, and the number of turns."""
        return self._adam.places()

    def step(self, pixels: Tensor, gradient: Tensor, classes: slice, place: int) -> None:
        """One step of ``classes``."""
        mean, square, turns = self.places()
        own = self._adam.at([pixels], [mean[classes], square[classes], turns + place])
        own.lr = self.rate
        own.step([gradient])

    def end(self, turns: int) -> None:
        """The means have seen so many steps more."""
        self.places()[-1].add_(turns)

    def state_dict(self) -> dict[str, Any]:
        """Rate, both means, and the number of turns."""
        return {"rate": self.rate, **self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.rate = state["rate"]
        self._adam.load_state_dict(state)


class TurnedImages:
    """Synthetic images as pixels in [0, 1], moved class by class in rounds of one turn per class.

    Of a whitened data set there are no pixels: images are then moved as they are, without bounds.

    Args:
        images: (classes * ipc, C, H, W) float, normalised.
        real: its classes and its normalisation.
    """

    def __init__(self, images: Tensor, real: RealImages) -> None:
        self._classes, self._is_bounded = real.classes, not real.is_whitened
        self._std = real.pixel_std if self._is_bounded else torch.ones_like(real.pixel_std)
        self._mean = real.pixel_mean if self._is_bounded else torch.zeros_like(real.pixel_mean)
        self.pixels = images.mul(self._std).add_(self._mean).unflatten(0, (self._classes, -1))

    def normalised(self) -> Tensor:
        """(classes * ipc, C, H, W) float, as networks see them."""
        images: Tensor = self.pixels.flatten(0, 1)
        return (images - self._mean) / self._std

    def clamp(self) -> None:
        """Bring all pixels into [0, 1]."""
        if self._is_bounded:
            self.pixels.clamp_(0, 1)

    @torch.no_grad()
    def approach(self, turn: Turn) -> None:
        """Move each class through the turns before its own; :meth:`take` completes the round."""
        nothing = torch.zeros_like(self.pixels)
        for place in range(self._classes - 1):
            waiting = slice(place + 1, self._classes)
            turn.step(self.pixels[waiting], nothing[waiting], waiting, place)

    @torch.no_grad()
    def take(self, turn: Turn, gradient: Tensor) -> None:
        """Each class's own step, and the turns after it.

        Args:
            turn: the optimiser.
            gradient: (classes * ipc, C, H, W) of the normalised images, each class's after :meth:`approach`.
        """
        own = gradient.div(self._std).unflatten(0, (self._classes, -1))
        for place in range(self._classes):
            done = slice(0, place + 1)
            turn.step(self.pixels[done], own[done], done, place)
            own[place].zero_()
        turn.end(self._classes)

    def state_dict(self) -> dict[str, Any]:
        """The pixels."""
        return {"pixels": self.pixels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the pixels."""
        self.pixels = state["pixels"]
