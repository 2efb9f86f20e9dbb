"""Training on a synthetic set as a function of it: SGD steps whose result is differentiable by images, labels and rates.

With the weights theta_i before step i, its batch (x_i, y_i) and g_i the gradient of the loss on it at theta_i,
theta_{i+1} = theta_i - a_i g_i. Gradients of a function L of theta_N need second derivatives of the network. In the naive form
PyTorch keeps the graph of all N steps. In constant memory the steps are taken without a graph, and taken again one by one on
the way back: with l_N = dL / dtheta_N, the graph of step i gives

    l_i = l_{i+1} - a_i (dg_i / dtheta)^T l_{i+1},   dL/dx_i = -a_i (dg_i / dx_i)^T l_{i+1},   dL/da_i = -g_i . l_{i+1},

and is freed. Both are the whole gradient, equal to rounding; DD (Wang et al., 2018) walks back in this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from bacon.distillation.graph_bytes import graph_bytes
from bacon.distillation.kept_weights import KeptWeights, host_places, least_places
from bacon.networks.convolution import weight_gradients_unread
from bacon.networks.network import Network

Batches = Callable[[int, Sequence[Tensor]], tuple[Tensor, Tensor]]
"""Number of a step and the variables (images, labels, ...) -> the step's images (B, C, H, W) and labels, as a function of the
variables that PyTorch can differentiate; called again for the same step, it gives the same."""

_ALL_KEPT = 16  # up to so many steps, the weights before each of them are kept in constant memory
_GRAPHS = 1.0  # of more steps, as many as take the memory of so many steps' graphs

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
        self.bytes_of_graphs: dict[tuple[Any, ...], int] = {}
        """Of a step's batch: its shape, its labels' shape and its type -> :func:`graph_bytes`."""

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
        constant_memory: take the steps again on the way back instead of keeping their graphs. The weights before each of up to
            16 steps are kept; of more, as many as take the memory of one step's graph, and the others are
            computed once more (:mod:`bacon.distillation.kept_weights`). On a GPU they wait in the host's memory.
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

    def places(self, weights: Tensor, variables: Sequence[Tensor]) -> int:
        """For how many weights (P,) there is memory."""
        if self.steps <= _ALL_KEPT:
            return max(1, self.steps)
        if weights.device.type == "cuda":
            return max(least_places(self.steps), host_places(weights))
        memory = _GRAPHS * self._bytes_of_graph(weights, variables)
        return max(least_places(self.steps), int(memory / weights.nbytes))

    def _bytes_of_graph(self, weights: Tensor, variables: Sequence[Tensor]) -> int:
        """Of the first step in the naive form, as far as the memory limit has it computed at a time."""
        with torch.no_grad():
            images, labels = (part[: self.images_at_once] for part in self.batches(0, variables))
        key = (images.shape, labels.shape, images.dtype, self.loss)
        known = self.network.bytes_of_graphs
        if key not in known:
            known[key] = graph_bytes(
                lambda *given: self.loss(self.network(*given[:2]), given[2]), weights, images, labels
            )
        return known[key]

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
        """Through one step, of gradient g (P,): ``cotangent`` (P,) times g (0-d), and times dg by weights and variables.

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
        to_theta: Tensor | None = None
        along, start = weights.new_zeros(()), 0
        for some, their_labels, share in self.pieces(*leaves):
            found_along, *found = self._piece(weights, (some, their_labels), share, cotangent, to_weights=to_weights)
            assert found_along is not None
            along, place = along + found_along, slice(start, start + len(some))
            if to_weights and found[0] is not None:
                to_theta = found[0] if to_theta is None else to_theta + found[0]
            for sums, part in zip(to_batch, found[1:], strict=True):
                if sums is not None and part is not None:
                    sums[place] = part
            start += len(some)
        return along, to_theta, _through(batch, to_batch, variables)

    def _piece(
        self, weights: Tensor, batch: tuple[Tensor, Tensor], share: float, cotangent: Tensor, *, to_weights: bool
    ) -> list[Tensor | None]:
        """Of a part of the batch, ``cotangent`` times the gradient g, and times dg by weights, images and labels if wanted.

        The gradient is linear in the 1 that it begins with, so that its derivative by that is g itself: its numbers are read
        nowhere, and those of the convolutions are not computed.
        """
        leaf = weights.detach().requires_grad_()
        one = weights.new_ones(()).requires_grad_()
        with torch.enable_grad(), weight_gradients_unread():
            value = self.loss_of(leaf, *batch, share)
            (gradient,) = torch.autograd.grad(value, leaf, one, create_graph=True)
        return _products(gradient, (one, leaf if to_weights else weights, *batch), cotangent)


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
        kept = KeptWeights(recipe.steps, recipe.places(weights, variables), weights)
        for step in range(recipe.steps):
            kept.pass_by(step, weights)
            weights = recipe.after(step, weights, rate, variables)
        ctx.recipe, ctx.kept = recipe, kept
        ctx.save_for_backward(rate, *variables)
        return weights if recipe.steps else weights.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        recipe: _Recipe = ctx.recipe
        _, start_needed, rate_needed, *needed = ctx.needs_input_grad
        rate, *given = ctx.saved_tensors
        variables = [each.detach().requires_grad_(need) for each, need in zip(given, needed, strict=True)]
        totals = [torch.zeros_like(each) if need else None for each, need in zip(given, needed, strict=True)]
        by_rate = torch.zeros_like(rate)

        def after(step: int, weights: Tensor) -> Tensor:
            return recipe.after(step, weights, rate, given)

        for step, weights in ctx.kept.backwards(after):
            along, by_weights, by_variables = recipe.back(
                step, weights, variables, cotangent, to_weights=step > 0 or start_needed
            )
            _rate_of(by_rate, step).sub_(along)
            scale = -_rate_of(rate, step)
            for total, found in zip(totals, by_variables, strict=True):
                if total is not None and found is not None:
                    total.addcmul_(found, scale)
            if by_weights is not None:
                cotangent = torch.addcmul(cotangent, by_weights, scale)
        return None, cotangent if start_needed else None, by_rate if rate_needed else None, *totals
