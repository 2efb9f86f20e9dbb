"""A convolution that keeps its precision in every derivative, and can leave out a bias that has no effect.

With y = C(x, w) the convolution, linear in both, and g the gradient of y, the gradients are X(g, w) by x and W(g, x) by w. Each
of the three is linear in both arguments, and its derivatives are the other two: of a scalar whose gradient by X is v, they are
C(v, w) by g and W(g, v) by w; where v is its gradient by W, X(g, v) by x and C(x, v) by g. So three functions that set the
precision around themselves hold it in derivatives of any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from bacon.networks.arithmetic import tf32_allowed, tf32_set
from bacon.networks.kernels.pooling import is_plain, plain_form_needed
from bacon.networks.step_weights import left_out_of_step, weight_in_step

_BY_INPUT, _BY_WEIGHT = [True, False, False], [False, True, False]


class Convolution(nn.Conv2d):
    """``nn.Conv2d`` padded with zeros, in the precision that its network runs in, also where it is differentiated.

    Attributes:
        bias_cancels: an instance norm follows, which subtracts each map's mean and with it the bias. Then the bias takes no
            part: the output is the same to rounding, and the gradient by the bias is zero.
    """

    bias_cancels = False

    def forward(self, input: Tensor) -> Tensor:
        """(N, out, H', W') of (N, in, H, W)."""
        weight, bias = weight_in_step(self.weight, input.device), self.bias
        if bias is not None and self.bias_cancels:
            weight, bias = set_aside(weight, bias), None
        by_itself = _reads_the_switch(input) or (_unread and _differentiable_here(input))
        if not by_itself or not is_plain(weight):
            return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        assert isinstance(self.padding, tuple)
        form = ConvolutionForm(self.stride, self.padding, self.dilation, self.groups, tf32=tf32_allowed())
        return _maps(input, weight, bias, form)


def own_convolutions(network: nn.Module) -> None:
    """Make every plain ``nn.Conv2d`` in ``network`` a :class:`Convolution`, in place: torchvision makes its own."""
    for module in network.modules():
        if type(module) is nn.Conv2d:
            assert module.padding_mode == "zeros", "no network here pads its maps otherwise"
            module.__class__ = Convolution


@dataclass(frozen=True)
class ConvolutionForm:
    """How a convolution is computed, forward and back."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    tf32: bool
    """On a GPU, factors of float32 are rounded to TF32."""
    unread: bool = False
    """W is not computed and is zero (:func:`weight_gradients_unread`)."""

    def maps(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """C(x, weight), and the bias added: (N, out, H', W')."""
        with tf32_set(self.tf32):
            return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def by_input(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """X(gradient, weight), in the shape of ``x``."""
        return self._back(gradient, x, weight, _BY_INPUT)[0]

    def by_weight(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """W(gradient, x), in the shape of ``weight``."""
        if self.unread:
            return weight.new_zeros(()).expand_as(weight)
        return self._back(gradient, x, weight, _BY_WEIGHT)[1]

    def _back(self, gradient: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
        geometry = self.stride, self.padding, self.dilation
        with tf32_set(self.tf32):
            found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, *geometry, False, [0, 0], self.groups, wanted
            )
        return found


_unread = False


@contextmanager
def weight_gradients_unread() -> Iterator[None]:
    """Networks run, and gradients of their weights alone are taken with ``create_graph=True``, for second derivatives alone.

    What is returned for the weights of convolutions is not computed and is zero, but its derivatives are whole; that saves one
    product in nine. A first block fused on the CPU leaves out the images' gradient too, which nobody asks for. Passes without
    ``create_graph`` compute everything.
    """
    global _unread
    before, _unread = _unread, True
    try:
        yield
    finally:
        _unread = before


def are_weight_gradients_unread() -> bool:
    """Whether it is inside :func:`weight_gradients_unread`."""
    return _unread


def set_aside(weight: Tensor, bias: Tensor) -> Tensor:
    """``weight``, as if it were a function of ``bias`` too: who asks for the bias's gradient gets zeros.

    Args:
        weight: (out, in, height, width).
        bias: (out,), which has no effect.
    """
    if left_out_of_step(bias):
        return weight
    if plain_form_needed(bias):
        return weight + (0 * bias)[:, None, None, None]
    if not (torch.is_grad_enabled() and bias.requires_grad) or plain_form_needed(weight):
        return weight
    same: Tensor = _SetAside.apply(weight, bias)
    return same


class _SetAside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.shape = bias.shape
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.new_zeros(ctx.shape)


def _reads_the_switch(x: Tensor) -> bool:
    """Whether derivatives of a convolution of ``x`` would read PyTorch's switch when they are taken."""
    return _on_gpu(x) and x.dtype == torch.float32 and _differentiable_here(x)


def _differentiable_here(x: Tensor) -> bool:
    """Whether the functions below can take a convolution of ``x``."""
    # Forward-mode derivatives are taken at once, while the network runs.
    return not torch.is_autocast_enabled(x.device.type) and torch.is_grad_enabled() and forward_ad._current_level < 0


def _on_gpu(x: Tensor) -> bool:
    return x.is_cuda


Backward = Callable[..., tuple[Tensor | None, ...]]
"""The context and the gradient of the output -> gradients of the three tensors and the form."""


def _differentiable(compute: Callable[..., Tensor], back: Backward) -> Callable[..., Tensor]:
    """``compute`` of three tensors and a form, with ``back`` as its derivative."""

    def keep(ctx: Any, first: Tensor, second: Tensor, third: Tensor | None, form: ConvolutionForm) -> None:
        ctx.save_for_backward(first, second, third)
        ctx.form = form

    class Plain(torch.autograd.Function):
        backward = staticmethod(back)

        @staticmethod
        def forward(ctx: Any, *given: Any) -> Tensor:
            keep(ctx, *given)
            return compute(*given)

    class InTransforms(torch.autograd.Function):
        """What ``torch.func`` asks for; it looks up a signature at every call, longer than a small convolution takes."""

        generate_vmap_rule = True
        backward = staticmethod(back)

        @staticmethod
        def forward(*given: Any) -> Tensor:
            return compute(*given)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
            keep(ctx, *inputs)

    def function(*given: Any) -> Tensor:
        found: Tensor = (InTransforms if torch._C._are_functorch_transforms_active() else Plain).apply(*given)
        return found

    return function


def _maps_back(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, _ = ctx.saved_tensors
    needed, form = ctx.needs_input_grad, ctx.form
    of_weight = replace(form, unread=True) if _unread and torch.is_grad_enabled() else form
    return (
        _by_input(gradient, x, weight, form) if needed[0] else None,
        _by_weight(gradient, x, weight, of_weight) if needed[1] else None,
        gradient.sum(dim=(0, 2, 3)) if needed[2] else None,
        None,
    )


def _by_input_back(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
    gradient, _, weight = ctx.saved_tensors
    needed = ctx.needs_input_grad
    by_gradient = _maps(given, weight, None, ctx.form) if needed[0] else None
    return by_gradient, None, _by_weight(gradient, given, weight, ctx.form) if needed[2] else None, None


def _by_weight_back(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
    gradient, x, _ = ctx.saved_tensors
    needed = ctx.needs_input_grad
    form = replace(ctx.form, unread=False)
    by_gradient = _maps(x, given, None, form) if needed[0] else None
    return by_gradient, _by_input(gradient, x, given, form) if needed[1] else None, None, None


_maps = _differentiable(lambda x, weight, bias, form: form.maps(x, weight, bias), _maps_back)
_by_input = _differentiable(lambda gradient, x, weight, form: form.by_input(gradient, x, weight), _by_input_back)
_by_weight = _differentiable(lambda gradient, x, weight, form: form.by_weight(gradient, x, weight), _by_weight_back)


def convolved(x: Tensor, weight: Tensor, form: ConvolutionForm) -> Tensor:
    """C(x, weight), (N, out, H', W'), in the precision of ``form``, also in derivatives of any order."""
    maps: Tensor = _maps(x, weight, None, form)
    return maps
