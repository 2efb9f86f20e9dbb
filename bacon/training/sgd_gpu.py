"""When SGD's update is the Triton kernel's, which reads gradients in the dtype that they come in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from bacon.runtime.gpu_kernels import can_run
from bacon.runtime.pieces import is_dense

_MOST_TENSORS = 64  # of a network: compiling the kernel for sixteen takes about two seconds


def takes_kernel(parameters: Sequence[Tensor], momenta: Sequence[Tensor | None]) -> bool:
    """Whether the kernel moves these: at most 64 tensors in float32 on a GPU, each laid out without gaps as its momentum is."""
    fit = len(parameters) <= _MOST_TENSORS and all(
        parameter.is_cuda
        and parameter.dtype == torch.float32
        and parameter.numel() > 0
        and is_dense(parameter)
        and kept is not None
        and kept.dtype == torch.float32
        and kept.stride() == parameter.stride()
        for parameter, kept in zip(parameters, momenta, strict=True)
    )
    return fit and gpu_kernel()


@lru_cache(maxsize=1)
def gpu_kernel() -> bool:
    """Whether the kernel can be used on the current GPU; where not, a line in the log says so and PyTorch's update is used."""
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(lambda: _compile(device), name="the GPU kernel for SGD's update", instead="PyTorch's own")


def _compile(device: torch.device) -> None:
    """Run the kernel on gradients of each kind."""
    parameters, momenta = ([torch.zeros(8, device=device) for _ in range(3)] for _ in range(2))
    gradients = [torch.zeros(8, dtype=torch.bfloat16, device=device), torch.zeros(8, device=device), None]
    rate = torch.zeros((), device=device)
    update(parameters, gradients, momenta, rate, weight_decay=5e-4, momentum=0.9, nesterov=False)


def update(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    momenta: Sequence[Tensor],
    rate: Tensor,
    *,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """See :func:`bacon.training.sgd_triton.update`."""
    from bacon.training import sgd_triton

    given = parameters, gradients, momenta, rate
    sgd_triton.update(*given, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)
