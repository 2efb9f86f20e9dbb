"""When the pass over groups of images is the Triton kernel."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from bacon.runtime.logs import get_logger
from bacon.runtime.user_cache import keep_triton_kernels

log = get_logger(__name__)

_DTYPES = (torch.float32, torch.float64)


def takes_kernel(images: Tensor, reach: int) -> bool:
    """Whether groups of images (G, n, C, H, W) go through the kernel: on a GPU, with a reach of one."""
    return images.is_cuda and reach == 1 and images.numel() > 0 and gpu_kernel(images.dtype, *images.shape[2:])


@lru_cache(maxsize=64)
def gpu_kernel(dtype: torch.dtype, channels: int, height: int, width: int) -> bool:
    """Whether images of a kind go through the kernel on the current GPU.

    It is compiled when images of a kind are first seen, in seconds, and kept in the user's cache for later jobs. Where that
    fails, a line in the log says so and PyTorch's operations compute the same.
    """
    if dtype not in _DTYPES or min(height, width) < 2:
        return False
    keep_triton_kernels()
    try:
        _compile(dtype, channels, height, width, torch.device("cuda", torch.cuda.current_device()))
    except Exception as error:  # whatever a compiler, a driver or a missing package raise
        log.info(
            "the augmentation's GPU kernel for %dx%d images cannot be used (%s); using PyTorch's slower operations",
            height,
            width,
            error,
        )
        return False
    return True


def _compile(dtype: torch.dtype, channels: int, height: int, width: int, device: torch.device) -> None:
    """Run the kernel both ways on groups of one and of several images, with and without the constant."""
    for groups, together in ((1, 2), (2, 1)):
        images = torch.zeros(groups, together, channels, height, width, dtype=dtype, device=device)
        numbers = torch.zeros(groups, 14, dtype=dtype, device=device)
        numbers[:, 4::4] = 1
        for constant in (True, False):
            forward(images, numbers, constant=constant)
        transposed(images, numbers)


def forward(images: Tensor, numbers: Tensor, *, constant: bool) -> Tensor:
    """The pass by the kernel; see :func:`bacon.transforms.affine_pass.passed_forward`."""
    from bacon.transforms import affine_pass_triton

    return affine_pass_triton.forward(images, numbers, constant=constant)


def transposed(gradient: Tensor, numbers: Tensor) -> Tensor:
    """The transposed pass by the kernel; see :func:`bacon.transforms.affine_pass.passed_transposed`."""
    from bacon.transforms import affine_pass_triton

    return affine_pass_triton.transposed(gradient, numbers)
