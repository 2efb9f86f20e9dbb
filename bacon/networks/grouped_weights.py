"""Weights that have a gradient for every group of a batch: one pass through the network instead of one for each group.

K groups of images go through the network together. Only the gradient of a weight tells them apart: it is (K, *weight.shape),
one for each group, instead of their sum. This holds for convolutions and linear layers of a network that treats every image
alone. The weight is not copied, and the fused blocks between the layers stay in use. Gradients can be differentiated once more
with respect to the images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.arithmetic import tf32_allowed
from bacon.networks.convolution import Convolution, ConvolutionForm

# Larger groups keep a GPU busy in a convolution of their own weight's gradient; smaller ones are groups of one convolution.
_MOST_SIDE_BY_SIDE = 64


class GroupedWeight(Tensor):
    """Takes the place of a layer's weight and gives each group of the batch a gradient of its own.

    Attributes:
        of_groups: (K, *shape) float, the weight for each group, without a copy; differentiate with respect to it.
    """

    of_groups: Tensor

    @staticmethod
    def of(weight: Tensor, groups: int) -> GroupedWeight:
        """``weight`` as a constant, for batches of ``groups`` groups of equal size, one after the other."""
        constant = weight.detach()
        grouped = constant.as_subclass(GroupedWeight)
        grouped.of_groups = constant.expand(groups, *constant.shape).requires_grad_()
        return grouped

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """A convolution or a linear layer is computed group by group; anything else sees the plain weight."""
        layer = _LAYERS.get(func)
        if layer is not None:
            return layer(*args, **(kwargs or {}))
        plain: Any = super()
        return plain.__torch_function__(func, types, args, dict(kwargs or {}))


def takes_grouped_weight(layer: nn.Module) -> bool:
    """Whether :class:`GroupedWeight` can take the place of the weight of ``layer``: a plain convolution or linear layer."""
    if type(layer) in (nn.Conv2d, Convolution):
        assert isinstance(layer, nn.Conv2d)
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def _convolution(
    x: Tensor,
    weight: GroupedWeight,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    assert groups == 1, "takes_grouped_weight"
    form = ConvolutionForm(stride, padding, dilation, groups, tf32=tf32_allowed())
    maps: Tensor = _Convolution.apply(x, weight.of_groups, bias, form)
    return maps


def _linear(x: Tensor, weight: GroupedWeight, bias: Tensor | None = None) -> Tensor:
    """(N, ..., outputs) of (N, ..., inputs)."""
    groups, outputs, inputs = weight.of_groups.shape
    product = torch.bmm(x.reshape(groups, -1, inputs), weight.of_groups.transpose(1, 2))
    product = product.reshape(*x.shape[:-1], outputs)
    return product if bias is None else product + bias


_LAYERS: dict[Callable[..., Any], Callable[..., Tensor]] = {F.conv2d: _convolution, F.linear: _linear}


class _Convolution(torch.autograd.Function):
    """A convolution of all groups by the same weight, which is an argument once for each group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, bias: Tensor | None, form: ConvolutionForm) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.form = form
        return form.maps(x, weights[0], bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # Under autocast the maps are bfloat16, and so is their gradient.
        x, weights = (tensor.to(gradient.dtype) for tensor in ctx.saved_tensors)
        needed = ctx.needs_input_grad
        dx = _InputGradient.apply(gradient, x, weights[0], ctx.form) if needed[0] else None
        dweights = _WeightGradients.apply(x, gradient, weights, ctx.form) if needed[1] else None
        dbias = gradient.sum(dim=(0, 2, 3)) if needed[2] else None
        return dx, dweights, dbias, None


class _InputGradient(torch.autograd.Function):
    """The gradient of the maps that a convolution read, differentiable with respect to that of its output alone."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, form: ConvolutionForm) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.form = form
        return form.by_input(gradient, x, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return ctx.form.maps(given, weight), None, None, None


class _WeightGradients(torch.autograd.Function):
    """(K, out, in, height, width): the gradient of the weight for each group, which can be differentiated once more."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gradient: Tensor, weights: Tensor, form: ConvolutionForm) -> Tensor:
        ctx.save_for_backward(x, gradient)
        ctx.form, groups = form, len(weights)
        if len(x) > groups * _MOST_SIDE_BY_SIDE:
            each = zip(gradient.unflatten(0, (groups, -1)), x.unflatten(0, (groups, -1)), strict=True)
            return torch.stack([form.by_weight(towards, maps, weights[0]) for towards, maps in each])
        beside, read = _side_by_side(gradient, groups), _side_by_side(x, groups)
        return replace(form, groups=groups).by_weight(beside, read, weights.flatten(0, 1)).view_as(weights)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """With one cotangent V of each group's gradient: convolutions of every group by its own V."""
        x, gradient = ctx.saved_tensors
        groups, filters = len(given), given.flatten(0, 1)
        if len(x) > groups * _MOST_SIDE_BY_SIDE:
            return *_by_each_group(ctx, x, gradient, given), None, None
        form = replace(ctx.form, groups=groups)
        x, gradient = (_side_by_side(tensor, groups) for tensor in (x, gradient))
        by_x = by_gradient = None
        if ctx.needs_input_grad[0]:
            by_x = _one_after_the_other(form.by_input(gradient, x, filters), groups)
        if ctx.needs_input_grad[1]:
            by_gradient = _one_after_the_other(form.maps(x, filters), groups)
        return by_x, by_gradient, None, None


def _by_each_group(ctx: Any, x: Tensor, gradient: Tensor, given: Tensor) -> tuple[Tensor | None, Tensor | None]:
    by_x: list[Tensor] = []
    by_gradient: list[Tensor] = []
    for maps, towards, cotangent in zip(*(t.unflatten(0, (len(given), -1)) for t in (x, gradient)), given, strict=True):
        if ctx.needs_input_grad[0]:
            by_x.append(ctx.form.by_input(towards, maps, cotangent))
        if ctx.needs_input_grad[1]:
            by_gradient.append(ctx.form.maps(maps, cotangent))
    return torch.cat(by_x) if by_x else None, torch.cat(by_gradient) if by_gradient else None


def _side_by_side(maps: Tensor, groups: int) -> Tensor:
    """(n, K C, H, W) of (K n, C, H, W): the groups become groups of channels."""
    beside: Tensor = maps.unflatten(0, (groups, -1)).transpose(0, 1).flatten(1, 2)
    return beside


def _one_after_the_other(maps: Tensor, groups: int) -> Tensor:
    """(K n, C, H, W) of (n, K C, H, W)."""
    after: Tensor = maps.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 1)
    return after
