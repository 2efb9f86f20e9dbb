"""When the cross-entropy of a training step, with its gradient and meters, is the Triton kernel's."""

from __future__ import annotations

from functools import lru_cache, partial

import torch
from torch import Tensor

from bacon.runtime.gpu_kernels import can_run

_MOST_CLASSES = 4096


def takes_kernel(logits: Tensor) -> bool:
    """Whether logits (N, K) go through the kernel: on a GPU, float32, of at most 4,096 classes."""
    return logits.is_cuda and logits.dtype == torch.float32 and logits.numel() > 0 and gpu_kernel(logits.shape[1])


@lru_cache(maxsize=64)
def gpu_kernel(classes: int) -> bool:
    """Whether logits of ``classes`` go through the kernel on the current GPU; it is compiled when they are first seen.

    Where it cannot be, a line in the log says so and PyTorch's operations compute the same.
    """
    if classes > _MOST_CLASSES:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, classes, device),
        name=f"the GPU kernel for the cross-entropy of {classes} classes",
        instead="PyTorch's operations",
    )


def _compile(classes: int, device: torch.device) -> None:
    """Run the kernel alone and in several programs."""
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    for count in (2, 8192 // classes + 2):
        labels = torch.zeros(count, dtype=torch.int64, device=device)
        gradient_and_correct(torch.zeros(count, classes, device=device), labels, totals)


def gradient_and_correct(logits: Tensor, labels: Tensor, totals: Tensor | None) -> tuple[Tensor, Tensor]:
    """See :func:`bacon.training.cross_entropy_triton.gradient_and_correct`."""
    from bacon.training import cross_entropy_triton

    return cross_entropy_triton.gradient_and_correct(logits, labels, totals)
