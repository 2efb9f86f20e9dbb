"""When the moments of each class's embeddings are made from maps by the Triton kernels, and their place in autograd."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from bacon.networks.kernels import pooling
from bacon.runtime.gpu_kernels import can_run

_MADE = {torch.float32: torch.float32, torch.bfloat16: torch.float32, torch.float64: torch.float64}
"""Dtype of maps -> of their moments."""


def takes_kernels(maps: Tensor, dtype: torch.dtype) -> bool:
    """Whether maps (N, C, H, W) go through the kernels where embeddings in ``dtype`` are asked for.

    They do on a GPU, contiguous or channels-last, in float32, float64 or bfloat16, outside transforms of ``torch.func``.
    """
    return (
        maps.is_cuda
        and maps.ndim == 4
        and maps.numel() > 0
        and _MADE.get(maps.dtype) == dtype
        and (maps.is_contiguous() or maps.is_contiguous(memory_format=torch.channels_last))
        and not pooling.plain_form_needed(maps)
        and gpu_kernels(maps.dtype, *maps.shape[1:])
    )


@lru_cache(maxsize=64)
def gpu_kernels(dtype: torch.dtype, channels: int, height: int, width: int) -> bool:
    """Whether maps of a kind go through the kernels on the current GPU; they are compiled when such are first seen.

    Where they cannot be, a line in the log says so and PyTorch's operations compute the same.
    """
    device = torch.device("cuda", torch.cuda.current_device())
    return can_run(
        partial(_compile, dtype, (channels, height, width), device),
        name=f"the GPU kernels for means of classes of {channels}x{height}x{width} maps",
        instead="PyTorch's slower operations",
    )


def _compile(dtype: torch.dtype, shape: tuple[int, ...], device: torch.device) -> None:
    """Run the kernels both ways, in both layouts, with and without what they may be given or asked besides."""
    for layout in (torch.contiguous_format, torch.channels_last):
        maps = torch.zeros(4, *shape, dtype=dtype, device=device).to(memory_format=layout)
        for further in (True, False):
            mean, _ = moments(maps, 2, std=further)
            to_maps(mean, maps, maps if further else None)


def moments(maps: Tensor, classes: int, *, std: bool) -> tuple[Tensor, Tensor | None]:
    """See :func:`bacon.distillation.matching.class_moments_triton.moments`."""
    from bacon.distillation.matching import class_moments_triton

    return class_moments_triton.moments(maps, classes, std=std)


def to_maps(gradient: Tensor, like: Tensor, added: Tensor | None) -> Tensor:
    """See :func:`bacon.distillation.matching.class_moments_triton.to_maps`."""
    from bacon.distillation.matching import class_moments_triton

    return class_moments_triton.to_maps(gradient, like, added)


class MeansOnGpu(torch.autograd.Function):
    """Means (K, D) of K classes' embeddings, and the maps (N, C, H, W) themselves for whatever else is made of them.

    The kernel that writes the means' gradient adds that of whatever else is made of the maps: one pass instead of three.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Means and maps."""
        ctx.set_materialize_grads(False)
        last = maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()
        ctx.shape, ctx.dtype, ctx.device = maps.shape, maps.dtype, maps.device
        ctx.layout = torch.channels_last if last else torch.contiguous_format
        return moments(maps, classes, std=False)[0], maps.view_as(maps)

    @staticmethod
    def backward(ctx: Any, to_means: Tensor | None, to_them: Tensor | None) -> tuple[Tensor | None, None]:
        """The gradient of the maps, which can be differentiated again."""
        if to_means is None:
            return to_them, None
        if torch.is_grad_enabled():  # somebody differentiates twice
            count, classes = ctx.shape[0], len(to_means)
            each = (to_means * (classes / count))[:, None].expand(-1, count // classes, -1)
            found = each.reshape(ctx.shape).to(ctx.dtype)
            return found if to_them is None else found + to_them, None
        like = torch.empty(ctx.shape, dtype=ctx.dtype, device=ctx.device, memory_format=ctx.layout)
        added = None if to_them is None else to_them.contiguous(memory_format=ctx.layout)
        return to_maps(to_means.contiguous(), like, added), None


def means(maps: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """(K, D) means of maps (N, C, H, W), class by class, and the maps, in whose place the caller uses them from there on."""
    mean, same = MeansOnGpu.apply(maps, classes)
    return mean, same
