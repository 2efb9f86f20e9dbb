"""SGD with momentum and weight decay: PyTorch's own fused update, without its optimiser class.

Making a ``torch.optim.SGD`` imports PyTorch's compiler in every process, which takes about as long as an evaluation job of
small networks trains. The update is the same function that the class calls; where steps may be recorded on a GPU, it is a
kernel of our own (``bacon.training.sgd_triton``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from bacon.runtime.pieces import in_pieces, is_dense, pieces_of
from bacon.training import sgd_gpu


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

    @property
    def is_kernel(self) -> bool:
        """Whether a step is a kernel of our own, which wants gradients neither cast nor filled: where it may be recorded."""
        return self._rate is not None and self.momentum > 0 and sgd_gpu.takes_kernel(self.parameters, self._buffers)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """One step along ``gradients``, one of each parameter's shape, in any float dtype; ``None`` is one of zeros."""
        if self._rate is not None and self.is_kernel:
            laid = [
                None if gradient is None else _laid_as(parameter, gradient, gradient.dtype)
                for parameter, gradient in zip(self.parameters, gradients, strict=True)
            ]
            given = self.parameters, laid, self.momenta(), self._rate
            sgd_gpu.update(*given, weight_decay=self.weight_decay, momentum=self.momentum, nesterov=self.nesterov)
            return
        whole = [
            torch.zeros_like(parameter) if gradient is None else _laid_as(parameter, gradient, parameter.dtype)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]
        if self._in_pieces():
            sizes = pieces_of([parameter.numel() for parameter in self.parameters])
            self._update(*(in_pieces(tensors, sizes) for tensors in (self.parameters, whole, self.momenta())))
        else:
            self._update(self.parameters, whole, self._buffers)

    def _in_pieces(self) -> bool:
        """Whether pieces are worth it: where the update is recorded, so that the host makes them once for all steps."""
        if not (self.parameters[0].is_cuda and torch.cuda.is_current_stream_capturing()):
            return False
        return all(
            kept is not None and kept.stride() == parameter.stride() and is_dense(parameter)
            for kept, parameter in zip(self._buffers, self.parameters, strict=True)
        )

    def _update(self, parameters: list[Tensor], gradients: list[Tensor], momenta: list[Any]) -> None:
        sgd(
            parameters,
            gradients,
            momenta,
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


def _laid_as(parameter: Tensor, gradient: Tensor, dtype: torch.dtype) -> Tensor:
    """The gradient in ``dtype``, lying in memory as its parameter does, which an update wants; a copy where it is not."""
    if gradient.dtype == dtype and gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter, dtype=dtype).copy_(gradient)
