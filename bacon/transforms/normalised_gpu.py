"""When images of bytes are gathered and normalised by the Triton kernel."""

from __future__ import annotations

from functools import lru_cache, partial

import torch
from torch import Tensor

from bacon.runtime.gpu_kernels import can_run

_DTYPES = (torch.float32, torch.float64)


def takes_kernel(images: Tensor, dtype: torch.dtype) -> bool:
    """Whether images (N, C, H, W) uint8 are normalised by the kernel to numbers of ``dtype``: on a GPU, contiguous."""
    return images.is_cuda and images.is_contiguous() and images.numel() > 0 and gpu_kernel(dtype, *images.shape[1:])


@lru_cache(maxsize=64)
def gpu_kernel(dtype: torch.dtype, channels: int, height: int, width: int) -> bool:
    """Whether images of a kind go through the kernel on the current GPU; it is compiled when such are first seen.

    Where it cannot be, a line in the log says so and PyTorch's operations give the same bits.
    """
    if dtype not in _DTYPES:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, dtype, channels, height, width, device),
        name=f"the GPU kernel that normalises {height}x{width} images",
        instead="PyTorch's slower operations",
    )


def _compile(dtype: torch.dtype, channels: int, height: int, width: int, device: torch.device) -> None:
    """Run the kernel with and without places."""
    images = torch.zeros(2, channels, height, width, dtype=torch.uint8, device=device)
    numbers = torch.zeros(channels, 1, 1, dtype=dtype, device=device)
    for places in (torch.zeros(3, dtype=torch.int64, device=device), None):
        normalised(images, places, numbers, numbers)


def normalised(images: Tensor, places: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """Gather and normalise by the kernel; see :func:`bacon.transforms.normalised_triton.normalised`."""
    from bacon.transforms import normalised_triton

    return normalised_triton.normalised(images, places, scale, shift)
