"""When partitioned images are decoded by the Triton kernels, and their place in autograd."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from bacon.runtime.gpu_kernels import can_run

_DTYPES = (torch.float32, torch.float64)
_LARGEST_FACTOR = 4  # the transpose's code has 4 factor^2 reads


def takes_kernel(images: Tensor, factor: int) -> bool:
    """Whether stored images (..., C, H, W) are decoded by the kernels.

    They are on a GPU, by a factor of up to 4, outside transforms of ``torch.func``.
    """
    return (
        images.is_cuda
        and images.numel() > 0
        and not torch._C._are_functorch_transforms_active()
        and gpu_kernel(images.dtype, factor, *images.shape[-2:])
    )


@lru_cache(maxsize=64)
def gpu_kernel(dtype: torch.dtype, factor: int, height: int, width: int) -> bool:
    """Whether images of a kind go through the kernels on the current GPU; they are compiled when such are first seen.

    Where they cannot be, a line in the log says so and PyTorch's operations compute the same.
    """
    if dtype not in _DTYPES or factor > _LARGEST_FACTOR:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, dtype, factor, height, width, device),
        name=f"the partition's GPU kernels for {height}x{width} images",
        instead="PyTorch's slower operations",
    )


def _compile(dtype: torch.dtype, factor: int, height: int, width: int, device: torch.device) -> None:
    """Run both kernels, on images of one and of three channels."""
    for channels in (1, 3):
        transposed(forward(torch.zeros(2, channels, height, width, dtype=dtype, device=device), factor), factor)


def forward(images: Tensor, factor: int) -> Tensor:
    """Decode by the kernel; see :func:`bacon.transforms.partition_triton.decoded`."""
    from bacon.transforms import partition_triton

    return partition_triton.decoded(images, factor)


def transposed(gradient: Tensor, factor: int) -> Tensor:
    """The transpose by the kernel; see :func:`bacon.transforms.partition_triton.collected`."""
    from bacon.transforms import partition_triton

    return partition_triton.collected(gradient, factor)


class DecodedOnGpu(torch.autograd.Function):
    """Stored images (N, C, H, W) to training images (N * factor^2, C, H, W); differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, factor: int) -> Tensor:
        """Decode."""
        ctx.factor = factor
        return forward(images, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The transpose."""
        return CollectedOnGpu.apply(gradient, ctx.factor), None


class CollectedOnGpu(torch.autograd.Function):
    """The transpose of :class:`DecodedOnGpu`, whose derivative is that."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, factor: int) -> Tensor:
        """Training images' gradient to that of stored images."""
        ctx.factor = factor
        return transposed(gradient, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Decode."""
        return DecodedOnGpu.apply(gradient, ctx.factor), None
