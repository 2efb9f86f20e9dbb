"""When a linear classifier of maps on a GPU reads them as they lie in memory, and its place in autograd."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.networks.kernels import pooling
from bacon.runtime.gpu_kernels import can_run

_MAPS = {torch.float32, torch.bfloat16}
_LEAST_FEATURES, _MOST_CLASSES = 256, 1024


def takes_kernel(maps: Tensor, weight: Tensor, bias: Tensor) -> bool:
    """Whether maps (N, C, H, W) on a GPU go through the kernels to logits of ``weight`` (K, C * H * W) and ``bias`` (K,).

    They do in float32 and bfloat16, contiguous or channels-last, from 256 features up to 1,024 classes. Weights that stand for
    several (``bacon.networks.grouped_weights``) go through PyTorch's layer, and all do where a caller's autocast would round.
    """
    given = (maps, weight, bias)
    if (
        not maps.is_cuda
        or maps.ndim != 4
        or torch._C._are_functorch_transforms_active()
        or not all(map(pooling.is_plain, given))
    ):
        return False
    if torch.is_autocast_enabled(maps.device.type) or not (
        _lies_well(maps) and weight.is_contiguous() and bias.ndim == 1
    ):
        return False
    of_float = weight.dtype == bias.dtype == torch.float32
    return of_float and len(maps) > 0 and gpu_kernel(maps.dtype, *maps.shape[1:], len(weight))


def _lies_well(maps: Tensor) -> bool:
    return maps.is_contiguous() or maps.is_contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=64)
def gpu_kernel(dtype: torch.dtype, channels: int, height: int, width: int, classes: int) -> bool:
    """Whether such maps go through the kernels on the current GPU; they are compiled when maps of a kind are first seen.

    Where they cannot be, a line in the log says so and PyTorch's operations compute the same.
    """
    if dtype not in _MAPS or channels * height * width < _LEAST_FEATURES or classes > _MOST_CLASSES:
        return False
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, dtype, (channels, height, width), classes, device),
        name=f"the GPU kernels for a classifier of {classes} classes on {channels}x{height}x{width} maps",
        instead="PyTorch's layers",
    )


def _compile(dtype: torch.dtype, shape: tuple[int, ...], classes: int, device: torch.device) -> None:
    """Run the kernels both ways on two images, in both layouts."""
    weight = torch.zeros(classes, shape[0] * shape[1] * shape[2], device=device, requires_grad=True)
    bias = torch.zeros(classes, device=device, requires_grad=True)
    for layout in (torch.contiguous_format, torch.channels_last):
        maps = torch.zeros(2, *shape, dtype=dtype, device=device).to(memory_format=layout).requires_grad_()
        with torch.enable_grad():
            torch.autograd.grad(ClassifierOnGpu.apply(maps, weight, bias).sum(), (maps, weight, bias))


class ClassifierOnGpu(torch.autograd.Function):
    """``linear(maps.flatten(1).float(), weight, bias)`` through ``bacon.networks.kernels.classifier_triton``."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Logits (N, K) float32 of maps (N, C, H, W), weight (K, C * H * W) and bias (K,)."""
        ctx.save_for_backward(maps, weight, bias)
        return without_gradients(maps, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of maps, weight and bias, which can be differentiated again."""
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad
        if torch.is_grad_enabled():  # somebody differentiates twice: PyTorch's layers know how
            return _gradients_again(inputs, gradient, needs)
        maps, weight, _ = inputs
        gradient = gradient.contiguous()
        for_maps = to_maps(gradient, maps, weight) if needs[0] else None
        if not any(needs[1:]):
            return for_maps, None, None
        for_weight, for_bias = to_weights(gradient, maps)
        return for_maps, for_weight if needs[1] else None, for_bias if needs[2] else None


def _gradients_again(
    inputs: tuple[Tensor, ...], gradient: Tensor, needs: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    maps, weight, bias = inputs
    logits = F.linear(maps.flatten(1).to(weight.dtype), weight, bias)
    wanted = [tensor for tensor, needed in zip(inputs, needs, strict=True) if needed]
    found = iter(torch.autograd.grad(logits, wanted, gradient, create_graph=True))
    return tuple(next(found) if needed else None for needed in needs)


def classified(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Logits (N, K) float32 of maps (N, C, H, W) that the kernels take."""
    if not torch.is_grad_enabled():
        return without_gradients(maps, weight, bias)
    logits: Tensor = ClassifierOnGpu.apply(maps, weight, bias)
    return logits


def without_gradients(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What :class:`ClassifierOnGpu` gives, keeping nothing."""
    from bacon.networks.kernels import classifier_triton

    return classifier_triton.forward(maps, weight, bias)


def to_maps(gradient: Tensor, maps: Tensor, weight: Tensor) -> Tensor:
    """See :func:`bacon.networks.kernels.classifier_triton.to_maps`."""
    from bacon.networks.kernels import classifier_triton

    return classifier_triton.to_maps(gradient, maps, weight)


def to_weights(gradient: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """See :func:`bacon.networks.kernels.classifier_triton.to_weights`."""
    from bacon.networks.kernels import classifier_triton

    return classifier_triton.to_weights(gradient, maps)
