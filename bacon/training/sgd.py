"""SGD with momentum and weight decay: PyTorch's own fused update, without its optimiser class.

Making a ``torch.optim.SGD`` imports PyTorch's compiler in every process, which takes about as long as an evaluation job of
small networks trains. The update is the same function that the class calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd


class Sgd:
    """``torch.optim.SGD(..., fused=True)``: the same numbers.

    Args:
        parameters: updated in place.
        lr: learning rate.
        momentum: momentum of the update, in [0, 1).
        weight_decay: factor of the parameters that is added to their gradients.
        nesterov: Nesterov's momentum.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, momentum: float, weight_decay: float, nesterov: bool = False
    ) -> None:
        self.parameters = list(parameters)
        self._lr = lr
        self._rate: Tensor | None = None
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self._buffers: list[Tensor | None] = [None] * len(self.parameters)

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = lr
        if self._rate is not None:
            self._rate.fill_(lr)

    def keep_rate_in_place(self) -> None:
        """Read the learning rate from a place on a GPU, so that a recorded step follows it; rounded to float32 there."""
        device = self.parameters[0].device
        if device.type == "cuda" and self._rate is None:
            self._rate = torch.full((), self._lr, dtype=torch.float32, device=device)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step along ``gradients``, one of each parameter's shape."""
        sgd(
            self.parameters,
            # The fused update wants each gradient to lie in memory as its parameter does.
            [
                gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
                for parameter, gradient in zip(self.parameters, gradients, strict=True)
            ],
            self._buffers,
            fused=True,
            foreach=False,
            has_sparse_grad=False,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=self._lr if self._rate is None else self._rate,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )

    def fill_momenta(self) -> None:
        """Begin with a momentum of zero, which is the same as none (m * 0 + g = g) and has a place in memory."""
        self._buffers = [
            torch.zeros_like(parameter.detach()) if kept is None else kept
            for kept, parameter in zip(self._buffers, self.parameters, strict=True)
        ]

    def momenta(self) -> list[Tensor]:
        """The momentum of each parameter, those that are there."""
        return [kept for kept in self._buffers if kept is not None]

    def like(self, parameters: Iterable[Tensor]) -> Sgd:
        """An optimiser of other parameters with the same settings, without momentum."""
        return Sgd(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def state_dict(self) -> dict[str, Any]:
        """The momentum of each parameter, ``None`` before the first step."""
        return {"momentum": list(self._buffers)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the momentum of :meth:`state_dict`, written into the places of the present one."""
        self._buffers = [
            kept if kept is None else kept.clone() if place is None else place.copy_(kept)
            for place, kept in zip(self._buffers, state["momentum"], strict=True)
        ]
