"""Colour, one affine sampling and a mask for every group of images, in one pass whose shapes depend on no drawn value.

DSA's operations, and the lists of IDC and FRePo that are built from them, are all of that form, each with numbers of its own
(:data:`COLUMNS`). A batch of mixed operations is therefore one pass, which a CUDA graph can record. A group is a class with one
draw in distillation, or a single image in training.

    y = keep * S(colour(x))

``colour`` adds a brightness and scales the distances from grey (saturation) and from the image's mean (contrast); it leaves a
group without colour as it is, to the bit. ``S`` samples bilinearly, with zeros outside: a shift by whole pixels and a mirror
image are exact. ``keep`` is zero in a box. The pass is linear but for the brightness, and its gradient is a gather too
(:mod:`bacon.transforms.sampling`): sums have an order, so two runs give the same bits on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bacon.transforms import affine_pass_gpu
from bacon.transforms.affine_pass_gpu import takes_kernel
from bacon.transforms.sampling import sample, sample_transposed

COLUMNS = (
    "colored",  # 1: brightness, saturation and contrast are applied; 0: they are not
    "brightness",  # added
    "saturation",  # factor of the distance of a pixel's channels from their mean
    "contrast",  # factor of the distance from the mean of the image
    "xx",  # position sampled at: x = xx (column - middle) + xy (row - middle) + dx + middle, in pixels
    "xy",
    "dx",
    "yx",
    "yy",
    "dy",
    "top",  # rows top..bottom - 1 and columns left..right - 1 are zero in the end
    "bottom",
    "left",
    "right",
)
"""What the numbers (G, 14) of the pass stand for."""

_POSITION = slice(COLUMNS.index("xx"), COLUMNS.index("dy") + 1)


def is_preferred(images: Tensor) -> bool:
    """Whether images are augmented by this pass: on a GPU. A CPU is faster with each operation by itself (docs/speed.md)."""
    return images.device.type != "cpu"


def affine_pass(images: Tensor, numbers: Tensor, *, reach: int = 1) -> Tensor:
    """Colour, sample and mask groups of images.

    Args:
        images: (G, n, C, H, W) float32 or float64.
        numbers: (G, 14) in the dtype of ``images``, see :data:`COLUMNS`; constants, to which no gradient goes.
        reach: of the positions, as for :func:`bacon.transforms.sampling.affine_sample`.

    Returns:
        (G, n, C, H, W), differentiable in ``images`` any number of times.
    """
    if torch._C._are_functorch_transforms_active():
        return passed_forward(images, numbers)
    passed: Tensor = _Pass.apply(images, numbers, reach, True)
    return passed


def edge_pass(images: Tensor, numbers: Tensor) -> Tensor:
    """:func:`affine_pass` to which the nearest pixel of the border is what lies outside, instead of zero.

    For images that take no gradient; theirs has no fixed order on a GPU.
    """
    if takes_kernel(images, 1) and not images.requires_grad:
        return affine_pass_gpu.forward(images, numbers, constant=True, edge=True)
    return passed_forward(images, numbers, edge=True)


class _Pass(torch.autograd.Function):
    """The pass; without its constant (the brightness) it is its own second derivative's form."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, numbers: Tensor, reach: int, constant: bool) -> Tensor:
        ctx.save_for_backward(numbers)
        ctx.reach = reach
        if takes_kernel(images, reach):
            return affine_pass_gpu.forward(images, numbers, constant=constant)
        return passed_forward(images, numbers, constant=constant)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (numbers,) = ctx.saved_tensors
        return _Transposed.apply(gradient, numbers, ctx.reach), None, None, None


class _Transposed(torch.autograd.Function):
    """The linear part of the pass, transposed."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, numbers: Tensor, reach: int) -> Tensor:
        ctx.save_for_backward(numbers)
        ctx.reach = reach
        if takes_kernel(gradient, reach):
            return affine_pass_gpu.transposed(gradient, numbers)
        return passed_transposed(gradient, numbers, reach=reach)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (numbers,) = ctx.saved_tensors
        return _Pass.apply(gradient, numbers, ctx.reach, False), None, None


def passed_forward(images: Tensor, numbers: Tensor, *, constant: bool = True, edge: bool = False) -> Tensor:
    """The pass by PyTorch's operations; ``constant=False`` leaves the brightness out, ``edge`` is :func:`edge_pass`."""
    column = _columns(numbers)
    colored = _colored(images, column, column["brightness"] if constant else None)
    position = numbers[:, _POSITION].unflatten(1, (2, 3))
    return sample(colored.flatten(1, 2), position, edge=edge).view_as(images) * _keep(images, column)


def passed_transposed(gradient: Tensor, numbers: Tensor, *, reach: int = 1) -> Tensor:
    """The transposed linear part of the pass; the colour's is the same as itself."""
    column = _columns(numbers)
    position = numbers[:, _POSITION].unflatten(1, (2, 3))
    kept = (gradient * _keep(gradient, column)).flatten(1, 2)
    back = sample_transposed(kept, position, reach=reach).view_as(gradient)
    return _colored(back, column, None)


def _columns(numbers: Tensor) -> dict[str, Tensor]:
    return dict(zip(COLUMNS, numbers.view(-1, len(COLUMNS), 1, 1, 1, 1).unbind(dim=1), strict=True))


def _colored(images: Tensor, column: dict[str, Tensor], brightness: Tensor | None) -> Tensor:
    """In the order and with the rounding of :func:`bacon.transforms.operations.color`."""
    changed = images if brightness is None else images + brightness
    mean = changed.mean(dim=2, keepdim=True)
    changed = (changed - mean) * column["saturation"] + mean
    mean = changed.mean(dim=(2, 3, 4), keepdim=True)
    return torch.where(column["colored"] > 0, (changed - mean) * column["contrast"] + mean, images)


def _keep(images: Tensor, column: dict[str, Tensor]) -> Tensor:
    """(G, 1, 1, H, W) zero in the box, one elsewhere."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    vertical = (rows >= column["top"]) & (rows < column["bottom"])
    horizontal = (columns >= column["left"]) & (columns < column["right"])
    return (~(vertical & horizontal)).to(images.dtype)
