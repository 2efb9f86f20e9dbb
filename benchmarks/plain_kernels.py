"""PyTorch's operations in the place of those Triton kernels of a matching that have no other form on a CPU.

They let what a GPU computes be followed without one: by the count of launches, and by the emulated GPU of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.matching import class_moments_gpu
from bacon.distillation.matching.features import Features
from bacon.networks.kernels import classifier_gpu
from bacon.transforms import normalised_gpu, partition, partition_gpu


def normalised(images: Tensor, places: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """As :func:`bacon.transforms.normalised_triton.normalised`."""
    gathered = images if places is None else images.index_select(0, places)
    return gathered.to(scale.dtype).mul_(scale).add_(shift)


def collected(gradient: Tensor, factor: int) -> Tensor:
    """As :func:`bacon.transforms.partition_triton.collected`."""
    count, *shape = gradient.shape
    stored = gradient.new_zeros(count // factor**2, *shape).requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(partition.decoded_by_operations(stored, factor), stored, gradient)[0]


def moments(maps: Tensor, classes: int, *, std: bool) -> tuple[Tensor, Tensor | None]:
    """As :func:`bacon.distillation.matching.class_moments_triton.moments`."""
    dtype = torch.float64 if maps.dtype == torch.float64 else torch.float32
    features = Features(embedding=maps.flatten(1).to(dtype)).by_class(len(maps) // classes)
    return features.mean_and_std() if std else (features.mean(), None)


def to_maps_of_means(gradient: Tensor, like: Tensor, added: Tensor | None) -> Tensor:
    """As :func:`bacon.distillation.matching.class_moments_triton.to_maps`."""
    each = len(like) // len(gradient)
    own = (gradient / each)[:, None].expand(-1, each, -1).reshape(like.shape)
    found = own if added is None else own + added
    return torch.empty_like(like).copy_(found)


def classified(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """As :func:`bacon.networks.kernels.classifier_triton.forward`."""
    return F.linear(maps.flatten(1).to(weight.dtype), weight, bias)


def to_maps_of_logits(gradient: Tensor, maps: Tensor, weight: Tensor) -> Tensor:
    """As :func:`bacon.networks.kernels.classifier_triton.to_maps`."""
    return torch.empty_like(maps).copy_((gradient @ weight).view(maps.shape))


def to_weights(gradient: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`bacon.networks.kernels.classifier_triton.to_weights`."""
    return gradient.T @ maps.flatten(1).to(gradient.dtype), gradient.sum(dim=0)


PLAIN: Mapping[ModuleType, Mapping[str, Callable[..., Any]]] = {
    normalised_gpu: {"normalised": normalised},
    partition_gpu: {"forward": partition.decoded_by_operations, "transposed": collected},
    class_moments_gpu: {"moments": moments, "to_maps": to_maps_of_means},
    classifier_gpu: {"without_gradients": classified, "to_maps": to_maps_of_logits, "to_weights": to_weights},
}
"""Module -> name of a function that calls a kernel -> its like."""
