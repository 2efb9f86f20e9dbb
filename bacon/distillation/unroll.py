"""Training on a synthetic set as a function of it: SGD steps whose result is differentiable by images, labels and rates.

With the weights theta_i before step i, its batch (x_i, y_i) and g_i the gradient of the loss on it at theta_i,
theta_{i+1} = theta_i - a_i g_i. Gradients of a function L of theta_N need second derivatives of the network. In the naive form
PyTorch keeps the graph of all N steps. In constant memory the steps are taken without a graph, and taken again one by one on
the way back: with l_N = dL / dtheta_N, the graph of step i gives

    l_i = l_{i+1} - a_i (dg_i / dtheta)^T l_{i+1},   dL/dx_i = -a_i (dg_i / dx_i)^T l_{i+1},   dL/da_i = -g_i . l_{i+1},

and is freed. Both are the whole gradient, equal to rounding; DD (Wang et al., 2018) walks back in this way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from bacon.networks.network import Network

Batches = Callable[[int, Sequence[Tensor]], tuple[Tensor, Tensor]]
"""Number of a step and the variables (images, labels, ...) -> the step's images (B, C, H, W) and labels, as a function of the
variables that PyTorch can differentiate; called again for the same step, it gives the same."""

_ALL_KEPT = 16  # up to so many steps, the weights before each of them are kept in constant memory

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, K) and labels -> mean over the batch, 0-d."""


class FlatNetwork:
    """A network as a function of all its parameters in one vector.

    Args:
        network: used with other parameters than its own, which stay as they are; buffers stay its own.
    """

    def __init__(self, network: Network) -> None:
        self.network = network.requires_grad_(False)
        self._shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]

    def __call__(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W) with the parameters ``weights`` (P,)."""
        logits: Tensor = functional_call(self.network, self.named(weights), (images,))
        return logits

    def named(self, weights: Tensor) -> dict[str, Tensor]:
        """Name of each parameter -> its part of a vector (P,), in its shape."""
        parts = weights.split(self._sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def flat(self, named: Mapping[str, Tensor]) -> Tensor:
        """(P,): the parameters out of ``named``, which may hold buffers too, in the network's order."""
        return torch.cat([named[name].reshape(-1) for name in self._shapes])

    def weights(self) -> Tensor:
        """(P,): a copy of the network's own parameters."""
        return self.flat(dict(self.network.named_parameters())).detach().clone()


def unroll(
    network: FlatNetwork,
    weights: Tensor,
    batches: Batches,
    variables: Sequence[Tensor],
    *,
    rate: Tensor,
    steps: int,
    constant_memory: bool,
    loss: Loss = F.cross_entropy,
    images_at_once: int | None = None,
) -> Tensor:
    """The weights after ``steps`` steps of plain SGD, differentiable by start, rates and variables.

    Args:
        network: what is trained.
        weights: (P,) float, before the first step.
        batches: the batch of a step, a function of ``variables``.
        variables: tensors that the batches are made of, such as all images and all soft labels; those that need no gradient get
            none.
        rate: () float, or (T,): step i has the rate i modulo T.
        steps: number of steps; 0 gives ``weights``.
        constant_memory: take the steps again on the way back instead of keeping their graphs. Of N steps, more than 16, the
            weights before about each sqrt(N)-th are kept, and those between are computed once more; on a GPU they wait in the
            host's memory, unless the steps are recorded.
        loss: of a batch, a mean over its images.
        images_at_once: in constant memory, images of a batch whose graph is kept at a time; ``None``: all. The network must not
            couple the images of a batch (no batch norm).

    Returns:
        (P,) float. In constant memory it can be differentiated once.
    """
    recipe = _Recipe(network=network, batches=batches, steps=steps, loss=loss, images_at_once=images_at_once)
    if constant_memory:
        final: Tensor = _Unrolled.apply(recipe, weights, rate, *variables)
        return final
    if not weights.requires_grad:
        weights = weights.detach().requires_grad_()
    for step in range(steps):
        images, labels = batches(step, variables)
        (gradient,) = torch.autograd.grad(loss(network(weights, images), labels), weights, create_graph=True)
        weights = weights - _rate_of(rate, step) * gradient
    return weights


def _rate_of(rate: Tensor, step: int) -> Tensor:
    return rate if rate.ndim == 0 else rate[step % len(rate)]


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What :func:`unroll` is told, but for what it can be differentiated by."""

    network: FlatNetwork
    batches: Batches
    steps: int
    loss: Loss
    images_at_once: int | None

    @torch.enable_grad()
    def pieces(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor, float]]:
        """Parts of a batch, each with its share of the images; differentiable by them."""
        size = self.images_at_once or len(images)
        parts = zip(images.split(size), labels.split(size), strict=True)
        return [(some, their_labels, len(some) / len(images)) for some, their_labels in parts]

    @property
    def stride(self) -> int:
        """Steps from one whose weights are kept to the next: every one of few; of many about the root of their number."""
        return 1 if self.steps <= _ALL_KEPT else math.isqrt(self.steps - 1) + 1

    def after(self, step: int, weights: Tensor, rate: Tensor, variables: Sequence[Tensor]) -> Tensor:
        """(P,): the weights after a step, without a graph."""
        return weights - _rate_of(rate, step) * self.gradient(step, weights, variables)

    def loss_of(self, weights: Tensor, images: Tensor, labels: Tensor, share: float) -> Tensor:
        value = self.loss(self.network(weights, images), labels)
        return value if share == 1 else share * value

    def gradient(self, step: int, weights: Tensor, variables: Sequence[Tensor]) -> Tensor:
        """(P,): the gradient of a step's loss, without a graph."""
        leaf, total = weights.detach().requires_grad_(), None
        with torch.no_grad():
            images, labels = self.batches(step, variables)
        for some, their_labels, share in self.pieces(images, labels):
            with torch.enable_grad():
                value = self.loss_of(leaf, some, their_labels, share)
            (found,) = torch.autograd.grad(value, leaf)
            total = found if total is None else total + found
        assert total is not None, "a batch has images"
        return total

    def back(
        self, step: int, weights: Tensor, variables: Sequence[Tensor], cotangent: Tensor, *, to_weights: bool
    ) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
        """Through one step: its gradient g (P,), and ``cotangent`` (P,) times dg by weights and variables.

        Args:
            step: number of the step.
            weights: (P,) before it.
            variables: each a leaf that takes a gradient, or a tensor that takes none.
            cotangent: (P,).
            to_weights: whether the product with dg/dtheta is wanted.
        """
        with torch.enable_grad():
            batch = self.batches(step, variables)
        leaves = [part.detach().requires_grad_(part.requires_grad) for part in batch]
        to_batch = [torch.zeros_like(leaf) if leaf.requires_grad else None for leaf in leaves]
        to_theta = torch.zeros_like(weights) if to_weights else None
        total, start = torch.zeros_like(weights), 0
        for some, their_labels, share in self.pieces(*leaves):
            gradient, found = self._piece(weights, (some, their_labels), share, cotangent, to_weights=to_weights)
            total, place = total + gradient, slice(start, start + len(some))
            if to_theta is not None and found[0] is not None:
                to_theta = to_theta + found[0]
            for sums, part in zip(to_batch, found[1:], strict=True):
                if sums is not None and part is not None:
                    sums[place] = part
            start += len(some)
        return total, to_theta, _through(batch, to_batch, variables)

    def _piece(
        self, weights: Tensor, batch: tuple[Tensor, Tensor], share: float, cotangent: Tensor, *, to_weights: bool
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Gradient (P,) of a part of the batch, and the products by weights, images and labels, ``None`` where not wanted."""
        leaf = weights.detach().requires_grad_()
        with torch.enable_grad():
            value = self.loss_of(leaf, *batch, share)
            (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        return gradient.detach(), _products(gradient, (leaf if to_weights else weights, *batch), cotangent)


def _products(output: Tensor, inputs: Sequence[Tensor], cotangent: Tensor) -> list[Tensor | None]:
    """``cotangent`` times the derivative of ``output`` by each input that takes a gradient; ``None`` for others."""
    wanted = [each for each in inputs if each.requires_grad]
    found = iter(torch.autograd.grad(output, wanted, cotangent, allow_unused=True) if wanted else ())
    return [next(found) if each.requires_grad else None for each in inputs]


def _through(
    batch: Sequence[Tensor], gradients: Sequence[Tensor | None], variables: Sequence[Tensor]
) -> list[Tensor | None]:
    """Gradients of the variables from those of a batch that was made of them."""
    pairs = [(part, found) for part, found in zip(batch, gradients, strict=True) if found is not None]
    wanted = [each for each in variables if each.requires_grad]
    if not pairs or not wanted:
        return [None] * len(variables)
    outputs, cotangents = zip(*pairs, strict=True)
    made = iter(torch.autograd.grad(outputs, wanted, cotangents, allow_unused=True))
    return [next(made) if each.requires_grad else None for each in variables]


class _Unrolled(torch.autograd.Function):
    """The steps without a graph; on the way back, one after another with theirs."""

    @staticmethod
    def forward(ctx: Any, recipe: _Recipe, weights: Tensor, rate: Tensor, *variables: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for step in range(recipe.steps):
            if step % recipe.stride == 0:
                kept.append(_put_aside(weights))
            weights = recipe.after(step, weights, rate, variables)
        ctx.recipe, ctx.kept = recipe, kept
        ctx.save_for_backward(rate, *variables)
        return weights if kept else weights.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        _, start_needed, rate_needed, *needed = ctx.needs_input_grad
        rate, *given = ctx.saved_tensors
        variables = [each.detach().requires_grad_(need) for each, need in zip(given, needed, strict=True)]
        totals = [torch.zeros_like(each) if need else None for each, need in zip(given, needed, strict=True)]
        by_rate = torch.zeros_like(rate)
        for step, weights in _backwards(ctx.recipe, ctx.kept, rate, given, cotangent.device):
            scaled = -_rate_of(rate, step) * cotangent
            gradient, by_weights, by_variables = ctx.recipe.back(
                step, weights, variables, scaled, to_weights=step > 0 or start_needed
            )
            _rate_of(by_rate, step).sub_((gradient * cotangent).sum())
            for total, found in zip(totals, by_variables, strict=True):
                if total is not None and found is not None:
                    total.add_(found)
            if by_weights is not None:
                cotangent = cotangent + by_weights
        return None, cotangent if start_needed else None, by_rate if rate_needed else None, *totals


def _backwards(
    recipe: _Recipe, kept: list[Tensor], rate: Tensor, variables: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[int, Tensor]]:
    """Every step and the weights (P,) before it, the last step first; ``kept`` is used up.

    Between two kept weights the others are computed again.
    """
    while kept:
        path = [kept.pop().to(device, non_blocking=True)]
        first = len(kept) * recipe.stride
        end = min(first + recipe.stride, recipe.steps)
        for step in range(first, end - 1):
            path.append(recipe.after(step, path[-1], rate, variables))
        for step in reversed(range(first, end)):
            yield step, path.pop()


def _put_aside(weights: Tensor) -> Tensor:
    """The weights where they take no memory of a GPU, unless this is recorded: a replay copies nothing to the host."""
    if weights.device.type != "cuda" or torch.cuda.is_current_stream_capturing():
        return weights
    return torch.empty(weights.shape, dtype=weights.dtype, pin_memory=True).copy_(weights, non_blocking=True)
