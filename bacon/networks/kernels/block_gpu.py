"""When the ConvNet block on a GPU is the Triton kernel, and its place in autograd."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from bacon.networks.kernels.block_plain import Cotangents, Saved, second_gradients
from bacon.runtime.gpu_kernels import can_run

LARGEST_SIDE = 256
"""Of the maps; larger ones go through PyTorch's layers."""
_DTYPES = (torch.float32, torch.float64, torch.bfloat16)


@lru_cache(maxsize=64)
def gpu_kernel(dtype: torch.dtype, channels: int, height: int, width: int) -> bool:
    """Whether maps (N, channels, height, width) on the current GPU go through the kernel.

    It is compiled when maps of a kind are first seen, in seconds, and kept in the user's cache for later jobs. Where that
    fails, a line in the log says so and PyTorch's layers are used.
    """
    if dtype not in _DTYPES or height % 2 or width % 2 or max(height, width) > LARGEST_SIDE:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, dtype, channels, height, width, device),
        name=f"the fused GPU kernel for {height}x{width} maps",
        instead="PyTorch's slower layers",
    )


def _compile(dtype: torch.dtype, channels: int, height: int, width: int, device: torch.device) -> None:
    """Run the kernel both ways, on two images of each layout; the gradient has the layout of the maps, as in a network."""
    parameter = torch.float64 if dtype == torch.float64 else torch.float32
    weight, bias = (torch.ones(channels, dtype=parameter, device=device) for _ in range(2))
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.zeros(2, channels, height, width, dtype=dtype, device=device).to(memory_format=layout)
        with torch.enable_grad():
            pooled = FusedOnGpu.apply(x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), 1e-5)
            torch.autograd.grad(pooled, (x, weight, bias), torch.ones_like(pooled))


@lru_cache(maxsize=64)
def gpu_second(device: torch.device, dtype: torch.dtype, channels: int, height: int, width: int) -> bool:
    """Whether second derivatives of the block on maps (N, channels, height, width) that it takes go through their kernel.

    It is compiled when they are first asked for. Where that fails, a line in the log says so and PyTorch's operations compute
    the same.
    """
    return can_run(
        partial(_compile_second, dtype, channels, height, width, device),
        name=f"the GPU kernel for second derivatives of {height}x{width} maps",
        instead="PyTorch's slower operations",
    )


def _compile_second(dtype: torch.dtype, channels: int, height: int, width: int, device: torch.device) -> None:
    """Run the kernel of second derivatives on two images of each layout."""
    parameter = torch.ones(channels, dtype=torch.float64 if dtype == torch.float64 else torch.float32, device=device)
    statistic = parameter.repeat(2, 1)
    for layout in (torch.contiguous_format, torch.channels_last):
        x, gradient = (
            torch.zeros(2, channels, height // part, width // part, dtype=dtype, device=device).to(memory_format=layout)
            for part in (1, 2)
        )
        saved = Saved(x, gradient, parameter, parameter, statistic, statistic, 1e-5)
        _second(saved, Cotangents(x, parameter, parameter))


def as_gpu_reads(x: Tensor) -> Tensor:
    """Maps in one of the layouts that the kernel reads: as they are when contiguous or channels-last."""
    return x if x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


class FusedOnGpu(torch.autograd.Function):
    """``avg_pool2d(relu(group_norm(x)), 2)``, one channel a group, through ``bacon.networks.kernels.block_triton``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        """Pooled maps (N, C, H / 2, W / 2) in the dtype of ``x``; weight and bias (C,) are float32 or float64."""
        from bacon.networks.kernels import block_triton

        pooled, mean, rstd = block_triton.forward(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.eps = eps
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of maps, weight and bias, which can be differentiated again."""
        x, weight, bias, mean, rstd = ctx.saved_tensors
        arrays = (x, gradient, weight, bias, mean, rstd)
        if torch.is_grad_enabled():  # somebody differentiates twice
            return *_GpuBackward.apply(*arrays, ctx.eps), None
        return *_backward(*arrays), None


def _backward(
    x: Tensor, gradient: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    from bacon.networks.kernels import block_triton

    return block_triton.backward(x, gradient, weight, bias, mean, rstd)


class _GpuBackward(torch.autograd.Function):
    """The block's first derivatives by the kernel, which can be differentiated."""

    @staticmethod
    def forward(ctx: Any, *arrays: Any) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, eps = arrays
        ctx.save_for_backward(*tensors)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return _backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gradient, weight, bias, mean, rstd = ctx.saved_tensors
        saved = Saved(x, gradient, weight, bias, mean, rstd, ctx.eps)
        # With gradients enabled, a third derivative is being taken: PyTorch knows how.
        by_kernel = not torch.is_grad_enabled() and gpu_second(x.device, x.dtype, *x.shape[1:])
        by_x, by_weight, by_gradient = (_second if by_kernel else second_gradients)(saved, Cotangents(*given))
        return by_x, by_gradient, by_weight, None, None, None, None


def _second(saved: Saved, given: Cotangents) -> tuple[Tensor, Tensor, Tensor]:
    from bacon.networks.kernels import second_triton

    return second_triton.second(saved, given)
