"""When the pass over groups of images is the Triton kernel."""

from __future__ import annotations

from functools import lru_cache, partial

import torch
from torch import Tensor

from bacon.runtime.gpu_kernels import can_run

_DTYPES = (torch.float32, torch.float64)
_MOST_CHANNELS = 8  # which a program holds side by side


def takes_kernel(images: Tensor, reach: int) -> bool:
    """Whether groups of images (G, n, C, H, W) go through the kernel: on a GPU, with a reach of one."""
    return images.is_cuda and reach == 1 and images.numel() > 0 and gpu_kernel(images.dtype, *images.shape[2:])


@lru_cache(maxsize=64)
def gpu_kernel(dtype: torch.dtype, channels: int, height: int, width: int) -> bool:
    """Whether images of a kind go through the kernel on the current GPU.

    It is compiled when images of a kind are first seen, in seconds, and kept in the user's cache for later jobs. Where that
    fails, a line in the log says so and PyTorch's operations compute the same, as they do with more than eight channels.
    """
    if dtype not in _DTYPES or channels > _MOST_CHANNELS or min(height, width) < 2:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, dtype, channels, height, width, device),
        name=f"the augmentation's GPU kernel for {height}x{width} images",
        instead="PyTorch's slower operations",
    )


def _compile(dtype: torch.dtype, channels: int, height: int, width: int, device: torch.device) -> None:
    """Run the kernel both ways, with and without the constant."""
    images = torch.zeros(1, 1, channels, height, width, dtype=dtype, device=device)
    numbers = torch.zeros(1, 14, dtype=dtype, device=device)
    numbers[:, 4::4] = 1
    for constant in (True, False):
        forward(images, numbers, constant=constant)
    transposed(images, numbers)


def forward(images: Tensor, numbers: Tensor, *, constant: bool, edge: bool = False) -> Tensor:
    """The pass by the kernel; see :func:`bacon.transforms.affine_pass.passed_forward`."""
    from bacon.transforms import affine_pass_triton

    return affine_pass_triton.forward(images, numbers, constant=constant, edge=edge)


def transposed(gradient: Tensor, numbers: Tensor) -> Tensor:
    """The transposed pass by the kernel; see :func:`bacon.transforms.affine_pass.passed_transposed`."""
    from bacon.transforms import affine_pass_triton

    return affine_pass_triton.transposed(gradient, numbers)
