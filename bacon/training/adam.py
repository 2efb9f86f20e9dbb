"""Adam and AdamW: PyTorch's own fused update, without its optimiser class (as ``bacon.training.sgd``)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """``torch.optim.Adam(..., fused=True)`` or ``torch.optim.AdamW(..., fused=True)``: the same numbers.

    Args:
        parameters: updated in place.
        lr: learning rate.
        betas: decay of the means of gradients and of squared gradients.
        epsilon: added to the root of the mean squared gradient.
        weight_decay: weight decay.
        decoupled: AdamW: weights shrink by lr * weight_decay; otherwise it is added to the gradient.

    Attributes:
        rate_place: where a recorded step reads the rate, 0-d (float32 on a GPU, float64 on a CPU); ``None``: it is ``lr``.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        self.parameters = list(parameters)
        self.lr = lr
        self.rate_place: Tensor | None = None
        self._betas, self._epsilon, self._weight_decay, self._decoupled = betas, epsilon, weight_decay, decoupled
        self._means = [torch.zeros_like(parameter.detach()) for parameter in self.parameters]
        self._squares = [torch.zeros_like(parameter.detach()) for parameter in self.parameters]
        self._steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step along ``gradients``, one of each parameter's shape."""
        adam(
            self.parameters,
            # The fused update wants each gradient to lie in memory as its parameter does.
            [
                gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
                for parameter, gradient in zip(self.parameters, gradients, strict=True)
            ],
            self._means,
            self._squares,
            [],
            self._steps,
            fused=True,
            foreach=False,
            decoupled_weight_decay=self._decoupled,
            amsgrad=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=self.lr if self.rate_place is None else self.rate_place,
            weight_decay=self._weight_decay,
            eps=self._epsilon,
            maximize=False,
        )

    def places(self) -> list[Tensor]:
        """What a step moves besides the parameters, in place: both means and the numbers of steps."""
        return [*self._means, *self._squares, *self._steps]

    def at(self, parameters: Iterable[Tensor], places: Sequence[Tensor]) -> Adam:
        """An optimiser of other parameters with the same settings, whose state is in ``places``, ordered as :meth:`places`."""
        other = copy.copy(self)
        other.parameters, count = list(parameters), len(self.parameters)
        other._means, other._squares, other._steps = (
            list(places[first : first + count]) for first in range(0, 3 * count, count)
        )
        return other

    @torch.no_grad()
    def forget(self) -> None:
        """Begin anew, in the same places."""
        torch._foreach_zero_(self.places())

    def state_dict(self) -> dict[str, Any]:
        """Both means and the number of steps of each parameter."""
        return {"means": list(self._means), "squares": list(self._squares), "steps": list(self._steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave, which is copied."""
        self._means, self._squares, self._steps = (
            [kept.clone() for kept in state[name]] for name in ("means", "squares", "steps")
        )
