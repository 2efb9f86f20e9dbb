"""When a ConvNet's first block on a GPU is fused, convolution included, and its place in autograd."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from bacon.networks.arithmetic import tf32_allowed
from bacon.networks.convolution import ConvolutionForm, convolved
from bacon.networks.kernels.block_gpu import LARGEST_SIDE, FusedOnGpu, as_gpu_reads, gpu_kernel
from bacon.networks.kernels.block_plain import layers
from bacon.networks.step_weights import left_out_of_step
from bacon.runtime.gpu_kernels import can_run

_MOST_INPUTS = 4
_MAPS = {torch.float32, torch.bfloat16}


def arithmetic(x: Tensor) -> str | None:
    """In what a convolution of ``x`` would be computed here: fp32, tf32 or bf16; ``None`` for anything else.

    Args:
        x: images; autocast and the permission of TF32 are those of the moment of the call.
    """
    if torch.is_autocast_enabled(x.device.type):
        bf16 = torch.get_autocast_dtype(x.device.type) == torch.bfloat16
        return "bf16" if bf16 and x.dtype in _MAPS else None
    if x.dtype != torch.float32:
        return None
    return "tf32" if tf32_allowed() else "fp32"


def fits_gpu(x: Tensor, filters: Tensor, padding: int) -> str | None:
    """The arithmetic of the fused first block where it takes these images on the current GPU, else ``None``.

    It takes images of up to four channels whose maps have even sides of at most ``LARGEST_SIDE`` pixels. Other images, and
    float64, go through the convolution and the fused norm.

    Args:
        x: (N, inputs, rows, columns).
        filters: (channels, inputs, 3, 3).
        padding: of the convolution.
    """
    kind = arithmetic(x)
    if kind is None or filters.dtype != torch.float32:
        return None
    return kind if gpu_first(kind, *x.shape[1:], padding, len(filters)) else None


@lru_cache(maxsize=64)
def gpu_first(kind: str, inputs: int, rows: int, columns: int, padding: int, channels: int) -> bool:
    """Whether such images on the current GPU go through the kernels; they are compiled when images of a kind are first seen."""
    height, width = rows + 2 * padding - 2, columns + 2 * padding - 2
    small = inputs <= _MOST_INPUTS and max(height, width) <= LARGEST_SIDE
    if padding < 1 or height % 2 or width % 2 or not small:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, kind, (2, inputs, rows, columns), padding, channels, device),
        name=f"the fused first block for {rows}x{columns} images",
        instead="its layers",
    )


def _compile(kind: str, size: tuple[int, ...], padding: int, channels: int, device: torch.device) -> None:
    """Run the kernels both ways on two images, for the gradients of networks in training and for those of images alone."""
    x = torch.zeros(size, device=device, requires_grad=True)
    filters = torch.ones(channels, size[1], 3, 3, device=device, requires_grad=True)
    weight, bias = (torch.ones(channels, device=device, requires_grad=True) for _ in range(2))
    for trained in (True, False):
        parameters = [each.requires_grad_(trained) for each in (filters, weight, bias)]
        with torch.enable_grad():
            pooled = FirstOnGpu.apply(x, filters, None, weight, bias, 1e-5, padding, kind)
            torch.autograd.grad(pooled, (x, *parameters * trained), torch.ones_like(pooled))


class FirstOnGpu(torch.autograd.Function):
    """``avg_pool2d(relu(instance_norm(conv2d(x, filters))), 2)`` through ``bacon.networks.kernels.first_triton``.

    Pooled maps are float32, or bfloat16 where the arithmetic is; channels-last except in fp32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        filters: Tensor,
        offsets: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        padding: int,
        kind: str,
    ) -> Tensor:
        """Pooled maps of images (N, inputs, rows, columns), filters (channels, inputs, 3, 3), weight and bias (channels,).

        The convolution's own bias, ``offsets`` (channels,), takes no part, and its gradient is zero.
        """
        pooled, saved = _forward(x, filters, weight, bias, eps, padding, kind, by_filters=ctx.needs_input_grad[1])
        ctx.save_for_backward(x, filters, offsets, weight, bias, *saved)
        ctx.eps, ctx.padding, ctx.kind = eps, padding, kind
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of images, filters, offsets, weight and bias, which can be differentiated again."""
        x, filters, offsets, weight, bias, *saved = ctx.saved_tensors
        inputs, needs = (x, filters, weight, bias), ctx.needs_input_grad
        needed = (*needs[:2], *needs[3:5])
        if (
            torch.is_grad_enabled()
        ):  # somebody differentiates twice: convolution and block, one after the other, know how
            found = _gradients_again(inputs, gradient, needed, eps=ctx.eps, padding=ctx.padding, kind=ctx.kind)
        else:
            found = _backward(inputs, saved, gradient, needed, padding=ctx.padding, kind=ctx.kind)
        return *found[:2], offsets * 0 if needs[2] else None, *found[2:], None, None, None


def first_on_gpu(x: Tensor, convolution: nn.Conv2d, norm: nn.GroupNorm, kind: str) -> Tensor:
    """``pool(relu(norm(convolution(x))))`` of images that :func:`fits_gpu`, in the arithmetic ``kind``."""
    filters, padding = convolution.weight, int(convolution.padding[0])
    if not torch.is_grad_enabled():
        return without_gradients(x, filters, norm.weight, norm.bias, norm.eps, padding, kind)
    offsets = convolution.bias
    if offsets is not None and left_out_of_step(offsets):
        offsets = None
    arguments = (filters, offsets, norm.weight, norm.bias, norm.eps, padding, kind)
    pooled: Tensor = FirstOnGpu.apply(x, *arguments)
    return pooled


def without_gradients(
    x: Tensor, filters: Tensor, weight: Tensor, bias: Tensor, eps: float, padding: int, kind: str
) -> Tensor:
    """What :class:`FirstOnGpu` gives, keeping nothing."""
    return _forward(x, filters, weight, bias, eps, padding, kind, by_filters=False)[0]


def _forward(
    x: Tensor,
    filters: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    padding: int,
    kind: str,
    *,
    by_filters: bool,
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """Pooled maps; and for the backward pass images and filters as copied, mean and 1/sd of each map, and what else is known.

    Args:
        x: (N, inputs, rows, columns).
        filters: (channels, inputs, 3, 3).
        weight: (channels,), of the norm.
        bias: as ``weight``.
        eps: added to the variance.
        padding: of the convolution.
        kind: fp32, tf32 or bf16.
        by_filters: whether the filters' gradient may be wanted.
    """
    from bacon.networks.kernels import first_moments_triton, first_tiles, first_triton

    prepared, shape = first_triton.prepare(x, filters, padding, kind), first_tiles.shape_of(x, filters, padding)
    if kind == "fp32":
        pooled, mean, rstd = first_triton.forward(prepared, shape, weight, bias, eps, last=False)
        return pooled, (*prepared, mean, rstd, None, None, None)
    patches = first_moments_triton.moments_of_patches(prepared, shape, kind, rounded=by_filters)
    moments = first_moments_triton.moments_of_maps(patches, prepared, shape, eps)
    pooled = first_triton.forward_once(prepared, shape, weight, bias, moments, last=True)
    return pooled, (*prepared, moments.mean, moments.rstd, patches.rounded, patches.sums, moments.sums)


def _backward(
    inputs: tuple[Tensor, ...],
    saved: list[Any],
    gradient: Tensor,
    needed: tuple[bool, ...],
    *,
    padding: int,
    kind: str,
) -> list[Tensor | None]:
    """Gradients of images, filters, weight and bias; those of images and filters only where needed."""
    from bacon.networks.kernels import first_back_triton, first_images_triton, first_moments_triton, first_tiles

    x, filters, weight, bias = inputs
    prepared, norm = first_tiles.Prepared(*saved[:2]), (weight, bias, *saved[2:4])
    known = first_back_triton.Known(*saved[4:])
    shape, given = first_tiles.shape_of(x, filters, padding), as_gpu_reads(gradient)
    if kind == "fp32" and needed[1]:
        patches = first_moments_triton.moments_of_patches(prepared, shape, kind, rounded=True)
        known = known._replace(gram=patches.rounded, patch_sums=patches.sums)
    by_filters, by_norm, sums = first_back_triton.backward(
        prepared, shape, given, norm, known, filters, precision=kind, by_filters=needed[1]
    )
    by_x = None
    if needed[0]:
        by_x = first_images_triton.image_gradient(prepared, shape, given, norm, sums, x, precision=kind)
    return [by_x, by_filters, by_norm[0] if needed[2] else None, by_norm[1] if needed[3] else None]


def _gradients_again(
    inputs: tuple[Tensor, ...], gradient: Tensor, needed: tuple[bool, ...], *, eps: float, padding: int, kind: str
) -> list[Tensor | None]:
    """As :func:`_backward`, as functions of the inputs and the gradient that can be differentiated."""
    x, filters, weight, bias = inputs
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    with torch.autocast(x.device.type, enabled=False):
        form = ConvolutionForm((1, 1), (padding, padding), (1, 1), 1, tf32=kind == "tf32")
        maps = convolved(x.to(dtype), filters.to(dtype), form)
        maps = as_gpu_reads(maps)
        by_layers = maps.is_cuda and not gpu_kernel(maps.dtype, *maps.shape[1:])
        pooled = (layers if by_layers else FusedOnGpu.apply)(maps, weight, bias, eps)
        wanted = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
        found = iter(torch.autograd.grad(pooled, wanted, gradient, create_graph=True))
    return [next(found) if need else None for need in needed]
