"""Gradients of a network's parameters, for several groups of images at once: the groups are most often the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from bacon.networks.grouped_weights import GroupedWeight, takes_grouped_weight
from bacon.networks.network import Network

# Images of several groups in one pass: on a CPU, more run out of its cache.
IMAGES_TOGETHER_ON_CPU = 16
# A group of more images keeps a CPU busy by itself. On a GPU all groups share a pass: maps of many images move at several times
# the speed of a few hundred (docs/speed.md), and there is one launch for all groups instead of one for each.
_MOST_ON_CPU = 8


def parameter_gradients(
    network: Network, parameters: Sequence[Tensor], images: Tensor, labels: Tensor, *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Gradient of the mean cross-entropy of each of K groups of images with respect to ``parameters``.

    Groups, on a CPU small ones, share one pass through the network where its layers allow it (:func:`is_groupable`); elsewhere
    there is a pass for each group. The results are equal to rounding. Memory is the caller's concern: all K n images, and for
    second derivatives the maps of all of them, are there at a time.

    Args:
        network: in the mode that it shall be used in; its parameters are constants for ``create_graph``.
        parameters: some of the network's, which require gradients.
        images: (K, n, C, H, W) float.
        labels: (K, n) int64.
        create_graph: the result can be differentiated with respect to ``images``.

    Returns:
        For each parameter (K, *its shape).
    """
    groups, size = labels.shape
    on_cpu = images.device.type == "cpu"
    if groups > 1 and (size <= _MOST_ON_CPU or not on_cpu) and is_groupable(network, parameters):
        together = IMAGES_TOGETHER_ON_CPU // size if on_cpu else groups
        parts = zip(images.split(together), labels.split(together), strict=True)
        found = [_together(network, parameters, *part, create_graph=create_graph) for part in parts]
        return tuple(torch.cat(of_parts) for of_parts in zip(*found, strict=True))
    each = [
        _of_one_group(network, parameters, *group, create_graph=create_graph)
        for group in zip(images, labels, strict=True)
    ]
    return tuple(torch.stack(of_groups) for of_groups in zip(*each, strict=True))


def is_groupable(network: Network, parameters: Sequence[Tensor]) -> bool:
    """Whether one pass gives every group its own gradients.

    The parameters are weights of plain convolutions and linear layers, and no layer mixes the images of a batch: batch norm in
    training mode does.
    """
    if any(isinstance(layer, _BatchNorm) and layer.training for layer in network.modules()):
        return False
    weights = {id(layer.weight) for layer in network.modules() if takes_grouped_weight(layer)}
    return all(id(parameter) in weights for parameter in parameters)


def summed_in_pieces(
    network: Network, parameters: Sequence[Tensor], images: Tensor, labels: Tensor, *, at_once: int
) -> tuple[Tensor, ...]:
    """:func:`parameter_gradients` without a graph, at most ``at_once`` images at a time; equal to rounding.

    A group of more images is computed in pieces, which no layer may notice (see :func:`is_groupable`).
    """
    groups, size = labels.shape
    if size <= at_once:
        parts = zip(*(tensor.split(at_once // size) for tensor in (images, labels)), strict=True)
        each = [parameter_gradients(network, parameters, *part) for part in parts]
        return tuple(torch.cat(of_parts) for of_parts in zip(*each, strict=True))
    totals = [parameter.new_zeros(groups, *parameter.shape) for parameter in parameters]
    for group in range(groups):
        for some, classes in zip(images[group].split(at_once), labels[group].split(at_once), strict=True):
            share = len(classes) / size
            found = _of_one_group(network, parameters, some, classes, create_graph=False)
            for total, gradient in zip(totals, found, strict=True):
                total[group].add_(gradient, alpha=share)
    return tuple(totals)


def matched_parameters(network: Network) -> list[nn.Parameter]:
    """The parameters that gradient matching compares: those of two dimensions or more (weights, no biases, no norms)."""
    return [parameter for parameter in network.parameters() if parameter.ndim >= 2]


def _of_one_group(
    network: Network, parameters: Sequence[Tensor], images: Tensor, labels: Tensor, *, create_graph: bool
) -> tuple[Tensor, ...]:
    loss = F.cross_entropy(network(images), labels)
    return torch.autograd.grad(loss, parameters, create_graph=create_graph)


def _together(
    network: Network, parameters: Sequence[Tensor], images: Tensor, labels: Tensor, *, create_graph: bool
) -> tuple[Tensor, ...]:
    groups, size = labels.shape
    wanted = {id(parameter) for parameter in parameters}
    weights = {
        name: GroupedWeight.of(parameter, groups) for name, parameter in _named(network) if id(parameter) in wanted
    }
    logits = functional_call(network, dict(weights), (images.flatten(0, 1),))
    loss = F.cross_entropy(logits, labels.flatten(), reduction="sum") / size
    by_place = {id(parameter): weights[name].of_groups for name, parameter in _named(network) if name in weights}
    of_groups = [by_place[id(parameter)] for parameter in parameters]
    return torch.autograd.grad(loss, of_groups, create_graph=create_graph)


def _named(network: Network) -> Iterator[tuple[str, nn.Parameter]]:
    return network.named_parameters()
