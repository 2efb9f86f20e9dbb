"""Instance norm, ReLU and 2x2 average pooling as one layer: a compiled kernel on the CPU, a Triton kernel on a GPU."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from bacon.networks.kernels.block_gpu import FusedOnGpu, as_gpu_reads, gpu_kernel
from bacon.networks.kernels.block_plain import Cotangents, Saved, layers, second_gradients
from bacon.networks.kernels.native import load, sources
from bacon.networks.kernels.pooling import plain_form_needed

SOURCES = ("convnet.c", "rows.c", "block.c", "first.c", "second.c")
LARGEST_SIDE = 128
"""Of the maps: the kernel keeps half a map, and for second derivatives a whole one, on its stack."""
LARGEST_CHANNELS = 4
"""Of the images, for the first block."""
IMAGES_PER_SUM = 4
"""The first block's kernel sums the gradients of the weights over so many images, the rest is summed outside."""
REALS = {torch.float32: "float", torch.float64: "double"}
"""C's names of the types that the kernel knows."""

_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "forward": (6, 4, ctypes.c_double, ctypes.c_int),
    "backward": (9, 4, ctypes.c_int),
    "second": (12, 4, ctypes.c_int),
    "first_forward": (8, 6, ctypes.c_double, ctypes.c_int),
    "first_backward": (12, 6, ctypes.c_int),
}  # function -> arrays, sizes, and what follows them: epsilon, threads


class InstanceNormReluPool(nn.GroupNorm):
    """``avg_pool2d(relu(instance_norm(x)), 2)`` with weight and bias per channel, equal to rounding.

    Differentiable any number of times; in transforms of ``torch.func`` it is PyTorch's layers.

    Args:
        channels: channels of the maps.
        device: where the parameters are made.
        dtype: of the parameters.
    """

    def __init__(
        self, channels: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(channels, channels, device=device, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H // 2, W // 2) of maps (N, C, H, W) float; of bfloat16 maps computed in float32, then rounded."""
        if plain_form_needed(input):
            return layers(input, self.weight, self.bias, self.eps)
        if input.is_cuda and gpu_kernel(input.dtype, *input.shape[1:]):
            on_gpu: Tensor = FusedOnGpu.apply(as_gpu_reads(input), self.weight, self.bias, self.eps)
            return on_gpu
        if input.dtype == torch.bfloat16:
            return self.forward(input.float()).to(torch.bfloat16)
        if not fits(input) or kernel() is None:
            return layers(input, self.weight, self.bias, self.eps)
        if not torch.is_grad_enabled():
            return _forward(input.contiguous(), self.weight, self.bias, self.eps)[0]
        return fused(input.contiguous(), self.weight, self.bias, self.eps)


def fused(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The compiled block of contiguous maps (N, C, H, W) that :func:`fits`, in autograd."""
    pooled: Tensor = _Fused.apply(x, weight, bias, eps)
    return pooled


@lru_cache(maxsize=1)
def kernel() -> ctypes.CDLL | None:
    """The compiled kernel, or ``None`` where it cannot be compiled (which has been logged, once)."""
    constants = {"MOST_INPUTS": LARGEST_CHANNELS, "IMAGES_TOGETHER": IMAGES_PER_SUM}
    library = load("convnet-block", sources(*SOURCES), constants)
    if library is not None:
        for name, (arrays, sizes, *rest) in _ARGUMENTS.items():
            for real in REALS.values():
                function = getattr(library, f"{name}_{real}")
                function.restype = None
                function.argtypes = [*(ctypes.c_void_p,) * arrays, *(ctypes.c_long,) * sizes, *rest]
    return library


def address(tensor: Tensor | None) -> int | None:
    """Where a contiguous tensor's numbers are; null for ``None``."""
    if tensor is None:
        return None
    assert tensor.is_contiguous()
    return tensor.data_ptr()


def fits(x: Tensor) -> bool:
    """Whether the compiled kernel takes these maps."""
    height, width = x.shape[-2:]
    even = height % 2 == 0 and width % 2 == 0
    return x.device.type == "cpu" and x.dtype in REALS and even and max(height, width) <= LARGEST_SIDE


def _forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps, and mean and 1/sd of each map, of contiguous maps (N, C, H, W)."""
    count, channels, height, width = x.shape
    pooled = x.new_empty(count, channels, height // 2, width // 2)
    mean, rstd = x.new_empty(count, channels), x.new_empty(count, channels)
    run = getattr(kernel(), f"forward_{REALS[x.dtype]}")
    arrays = (tensor.data_ptr() for tensor in (x, weight, bias, pooled, mean, rstd))
    run(*arrays, count * channels, channels, height, width, eps, torch.get_num_threads())
    return pooled, mean, rstd


class _Fused(torch.autograd.Function):
    # The context is an argument of forward: with `setup_context`, every call would look up the signature, which costs more than
    # a small block. Transforms of torch.func, which need it, take the plain form (plain_form_needed).

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        pooled, mean, rstd = _forward(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.eps = eps
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        arrays = (x, gradient.contiguous(), weight, bias, mean, rstd)
        if torch.is_grad_enabled():  # somebody differentiates twice
            return *_FusedBackward.apply(*arrays, ctx.eps), None
        return *_backward(*arrays), None


def _backward(
    x: Tensor, gradient: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of maps (N, C, H, W), weight and bias (C,)."""
    count, channels, height, width = x.shape
    dx, dweight, dbias = torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
    run = getattr(kernel(), f"backward_{REALS[x.dtype]}")
    arrays = (x, gradient, weight, bias, mean, rstd, dx, dweight, dbias)
    run(*(a.data_ptr() for a in arrays), count * channels, channels, height, width, torch.get_num_threads())
    return dx, dweight.sum(dim=0), dbias.sum(dim=0)


class _FusedBackward(torch.autograd.Function):
    """The block's first derivatives, which can be differentiated."""

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
        second = second_gradients if torch.is_grad_enabled() else _second
        by_x, by_weight, by_gradient = second(saved, Cotangents(*given))
        return by_x, by_gradient, by_weight, None, None, None, None


def _second(saved: Saved, given: Cotangents) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`second_gradients`, in one compiled pass."""
    x, gradient, weight, bias, mean, rstd, _ = saved
    count, channels, height, width = x.shape
    by_dx = torch.zeros_like(x) if given.dx is None else given.dx.contiguous()
    by_dweight = torch.zeros_like(weight) if given.dweight is None else given.dweight.contiguous()
    by_dbias = torch.zeros_like(bias) if given.dbias is None else given.dbias.contiguous()
    by_x, by_gradient, by_weight = torch.empty_like(x), torch.empty_like(gradient), torch.empty_like(mean)
    run = getattr(kernel(), f"second_{REALS[x.dtype]}")
    arrays = (x, gradient, by_dx, weight, bias, mean, rstd, by_dweight, by_dbias, by_x, by_gradient, by_weight)
    run(*map(address, arrays), count * channels, channels, height, width, torch.get_num_threads())
    return by_x, by_weight.sum(dim=0), by_gradient
