"""A ConvNet's first block, convolution included, in one pass each way: compiled on the CPU, Triton's kernels on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bacon.networks.convolution import ConvolutionForm, are_weight_gradients_unread, convolved, set_aside
from bacon.networks.kernels.block import (
    IMAGES_PER_SUM,
    LARGEST_CHANNELS,
    REALS,
    InstanceNormReluPool,
    address,
    fits,
    fused,
    kernel,
)
from bacon.networks.kernels.block_plain import layers
from bacon.networks.kernels.first_gpu import first_on_gpu, fits_gpu
from bacon.networks.kernels.pooling import plain_form_needed

_VECTOR_BYTES = 64  # a row of a map is a whole number of vectors
_LARGEST_MAP_BYTES = 128 * 128 * 4  # twelve maps lie on the stack of each thread


def first_block(x: Tensor, convolution: nn.Conv2d, norm: InstanceNormReluPool) -> Tensor:
    """``norm(convolution(x))``, equal to rounding; differentiable any number of times, also by ``torch.func``.

    Args:
        x: (N, C, H, W) float.
        convolution: 3x3, stride 1, with bias.
        norm: the block's instance norm, ReLU and pooling.

    Returns:
        (N, width, H' // 2, W' // 2), with H', W' the sides of the convolution's maps.
    """
    padding = int(convolution.padding[0])
    if plain_form_needed(x, convolution.weight):
        plain: Tensor = norm(convolution(x))
        return plain
    if x.is_cuda and (kind := fits_gpu(x, convolution.weight, padding)):
        return first_on_gpu(x, convolution, norm, kind)
    if not _fits(x, padding, norm.num_channels) or kernel() is None:
        pooled: Tensor = norm(convolution(x))
        return pooled
    assert convolution.bias is not None
    arguments = (convolution.weight, convolution.bias, norm.weight, norm.bias, norm.eps, padding)
    if not torch.is_grad_enabled():
        return _forward(x.contiguous(), *arguments)[0]
    fused: Tensor = _First.apply(x.contiguous(), *arguments)
    return fused


def _fits(x: Tensor, padding: int, width: int) -> bool:
    if x.device.type != "cpu" or x.dtype not in REALS or torch.is_autocast_enabled("cpu"):
        return False
    rows, columns = (side + 2 * padding - 2 for side in x.shape[-2:])
    vectors = columns * x.dtype.itemsize % _VECTOR_BYTES == 0
    small = rows * columns * x.dtype.itemsize <= _LARGEST_MAP_BYTES and x.shape[1] <= LARGEST_CHANNELS
    return padding >= 1 and rows % 2 == 0 and vectors and small and width % 4 == 0


def _forward(
    x: Tensor, filters: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor, eps: float, padding: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps, and mean and 1/sd of each map, of contiguous images (N, C, H, W)."""
    sizes = _sizes(x, filters, padding)
    count, _, channels, height, width, _ = sizes
    pooled = x.new_empty(count, channels, height // 2, width // 2)
    mean, rstd = x.new_empty(count, channels), x.new_empty(count, channels)
    run = getattr(kernel(), f"first_forward_{REALS[x.dtype]}")
    arrays = (x, filters.contiguous(), offsets, weight, bias, pooled, mean, rstd)
    run(*map(address, arrays), *sizes, eps, torch.get_num_threads())
    return pooled, mean, rstd


def _sizes(x: Tensor, filters: Tensor, padding: int) -> tuple[int, ...]:
    """Images, their channels, width, height and width of the maps, padding."""
    count, inputs, rows, columns = x.shape
    return count, inputs, len(filters), rows + 2 * padding - 2, columns + 2 * padding - 2, padding


class _First(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, filters: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor, eps: float, padding: int
    ) -> Tensor:
        pooled, mean, rstd = _forward(x, filters, offsets, weight, bias, eps, padding)
        ctx.save_for_backward(x, filters, offsets, weight, bias, mean, rstd)
        ctx.eps, ctx.padding = eps, padding
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, filters, offsets, weight, bias, mean, rstd = ctx.saved_tensors
        needed = ctx.needs_input_grad[:5]
        if (
            torch.is_grad_enabled()
        ):  # somebody differentiates twice: convolution and block, one after the other, know how
            inputs = (x, filters, offsets, weight, bias)
            needed = (needed[0] and not are_weight_gradients_unread(), *needed[1:])
            found = _gradients_again(inputs, gradient, needed, eps=ctx.eps, padding=ctx.padding)
        else:
            arrays = (x, gradient.contiguous(), filters.contiguous(), offsets, weight, bias, mean, rstd)
            found = _backward(arrays, needed, padding=ctx.padding)
        return *found, None, None


def _backward(arrays: tuple[Tensor, ...], needed: tuple[bool, ...], *, padding: int) -> list[Tensor | None]:
    """Gradients of images, filters, offsets, weight and bias; those of images and filters only where needed."""
    x, filters, offsets, mean = arrays[0], arrays[2], arrays[3], arrays[6]
    sizes = _sizes(x, filters, padding)
    count, inputs, _, height, width, _ = sizes
    dx = x.new_empty(count, inputs, height, width) if needed[0] else None
    groups = -(-count // IMAGES_PER_SUM)
    dfilters = filters.new_empty(groups, *filters.shape) if needed[1] else None
    dweight, dbias = torch.empty_like(mean), torch.empty_like(mean)
    run = getattr(kernel(), f"first_backward_{REALS[x.dtype]}")
    run(*map(address, (*arrays, dx, dfilters, dweight, dbias)), *sizes, torch.get_num_threads())
    crop = padding - 1
    return [
        None if dx is None else dx[..., crop : height - crop, crop : width - crop],
        None if dfilters is None else dfilters.sum(dim=0),
        # The norm takes every map's mean away, and with it all that the convolution's bias does.
        torch.zeros_like(offsets) if needed[2] else None,
        dweight.sum(dim=0) if needed[3] else None,
        dbias.sum(dim=0) if needed[4] else None,
    ]


def _gradients_again(
    inputs: tuple[Tensor, ...], gradient: Tensor, needed: tuple[bool, ...], *, eps: float, padding: int
) -> list[Tensor | None]:
    """As :func:`_backward`, as functions of the inputs and the gradient that can be differentiated."""
    x, filters, offsets, weight, bias = inputs
    form = ConvolutionForm((1, 1), (padding, padding), (1, 1), 1, tf32=False)
    maps = convolved(x, set_aside(filters, offsets), form)
    pooled = fused(maps.contiguous(), weight, bias, eps) if fits(maps) else layers(maps, weight, bias, eps)
    wanted = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
    found = iter(torch.autograd.grad(pooled, wanted, gradient, create_graph=True))
    return [next(found) if need else None for need in needed]
