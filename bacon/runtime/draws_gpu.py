"""When random words on a GPU are the Triton kernel's."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from bacon.runtime.gpu_kernels import can_run


@lru_cache(maxsize=16)
def gpu_kernel(device: torch.device) -> bool:
    """Whether words on a device are the kernel's: on a GPU where it can be compiled, which is done when it is first asked for.

    Where it cannot, a line in the log says so and PyTorch's operations make the same words.
    """
    if device.type != "cuda":
        return False

    def run() -> None:
        one = torch.ones(1, dtype=torch.int64, device=device)
        words((1, 2), count=5, lanes=one, iteration=one[0])

    return can_run(run, name="the GPU kernel for random words", instead="PyTorch's slower operations")


def words(key: tuple[int, int], *, count: int, lanes: Tensor, iteration: Tensor) -> Tensor:
    """Random words by the kernel; see :func:`bacon.runtime.draws_triton.words`."""
    from bacon.runtime import draws_triton

    return draws_triton.words(key, count=count, lanes=lanes, iteration=iteration)
