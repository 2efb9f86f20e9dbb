"""How much memory the graph of a differentiable gradient takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_SAMPLE = 2  # images: with one, batch norm has no spread


def graph_bytes(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor], weights: Tensor, images: Tensor, labels: Tensor
) -> int:
    """Bytes that are kept so that the gradient of a loss by the weights can be differentiated, those of the weights left out.

    Counted on two images, and taken times the others: the graph's maps are those of its images.

    Args:
        loss: of weights, images and labels.
        weights: (P,) float.
        images: (B, C, H, W) float.
        labels: (B,) or (B, K).
    """
    some = min(_SAMPLE, len(images))
    storages: dict[int, int] = {}

    def count(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return saved.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved):
        leaf = weights.detach().clone().requires_grad_()
        value = loss(leaf, images[:some].detach().clone(), labels[:some].detach())
        torch.autograd.grad(value, leaf, create_graph=True)
    own = leaf.untyped_storage().data_ptr()
    return sum(size for place, size in storages.items() if place != own) * len(images) // some
