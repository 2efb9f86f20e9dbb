"""DC's distance between gradients, and its derivative with respect to the images that one of them is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bacon.distillation.parameter_gradients import parameter_gradients, summed_in_pieces
from bacon.networks.network import Network

_SMALL = 1e-6

Distance = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
"""Gradients (K, *shape) of each parameter, real and synthetic, to the distance (K,) of each of K groups; differentiable."""


def gradient_distance(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """D of DC (Zhao et al., ICLR 2021, equation 10): the sum of 1 - cos over the output units of all layers.

    ``sum_l sum_i (1 - <a_li, b_li> / (|a_li| |b_li| + 1e-6))`` with rows i of the gradients of layer l, each the gradient of
    one output unit's weights. Parameters of one dimension count for nothing, a row of zeros for 1.

    Args:
        real: for each parameter (K, *its shape), the gradient of each of K groups.
        synthetic: the same; differentiable.

    Returns:
        (K,) float.
    """
    each = [_rows_apart(a, b) for a, b in zip(real, synthetic, strict=True) if a.ndim >= 3]
    return torch.stack(each).sum(dim=0)


def _rows_apart(a: Tensor, b: Tensor) -> Tensor:
    """(K,) of (K, out, ...)."""
    a, b = a.flatten(2), b.flatten(2)
    norms = torch.linalg.vector_norm(a, dim=2) * torch.linalg.vector_norm(b, dim=2)
    apart: Tensor = (1 - (a * b).sum(dim=2) / (norms + _SMALL)).sum(dim=1)
    return apart


def image_gradient(
    network: Network,
    parameters: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    real: Sequence[Tensor],
    *,
    together: int,
    limit: int,
    distance: Distance = gradient_distance,
) -> tuple[Tensor, Tensor]:
    """Distance of each group's gradient to the real one, and its derivative with respect to the images.

    Args:
        network: in the mode that it shall be used in, its layers treating every image alone.
        parameters: those that are matched.
        images: (K, n, C, H, W) float, synthetic.
        labels: (K, n) int64.
        real: for each parameter (K, *its shape).
        together: images of several groups that go through the network in one pass.
        limit: images whose graph memory holds. A group of more is computed twice: first its gradient without a graph, then the
            derivative piece by piece. Both limits change rounding at most.
        distance: of gradients.

    Returns:
        (K,) distances, and the gradient of their sum, of the shape of ``images``.
    """
    size = images.shape[1]
    if size > limit:
        return _in_pieces(network, parameters, images, labels, real, limit=limit, distance=distance)
    groups = max(1, min(together, limit) // size)
    distances: list[Tensor] = []
    gradients: list[Tensor] = []
    for first in range(0, len(images), groups):
        part = slice(first, first + groups)
        some = images[part].detach().requires_grad_()
        found = parameter_gradients(network, parameters, some, labels[part], create_graph=True)
        apart = distance([gradient[part] for gradient in real], found)
        gradients += torch.autograd.grad(apart.sum(), some)
        distances.append(apart.detach())
    return torch.cat(distances), torch.cat(gradients)


def _in_pieces(
    network: Network,
    parameters: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    real: Sequence[Tensor],
    *,
    limit: int,
    distance: Distance,
) -> tuple[Tensor, Tensor]:
    """By the chain rule: V = dD/dg at the gradient g of a whole group, then d<V, g_i>/dx for the part g_i of every piece i."""
    whole = [found.requires_grad_() for found in summed_in_pieces(network, parameters, images, labels, at_once=limit)]
    apart = distance(real, whole)
    towards = torch.autograd.grad(apart.sum(), whole, allow_unused=True, materialize_grads=True)
    size, gradient = images.shape[1], torch.empty_like(images)
    for group in range(len(images)):
        for first in range(0, size, limit):
            some = images[group : group + 1, first : first + limit].detach().requires_grad_()
            classes = labels[group : group + 1, first : first + limit]
            found = parameter_gradients(network, parameters, some, classes, create_graph=True)
            along = torch.stack([(v[group] * g[0]).sum() for v, g in zip(towards, found, strict=True)]).sum()
            (piece,) = torch.autograd.grad(along * (classes.shape[1] / size), some)
            gradient[group, first : first + limit] = piece[0]
    return apart.detach(), gradient
