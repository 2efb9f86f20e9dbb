"""DenseNet-121 (Huang et al., 2017) of torchvision, with a 3x3 stem and fewer halvings for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import densenet121

from bacon.networks.adaptation import halve_at_most, halvings, made_on, with_inputs
from bacon.networks.initial_weights import Draw, pytorch_default
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


def _initialisation(module: nn.Module) -> list[Draw]:
    """Convolutions ~ N(0, 2 / fan_in) (He et al., ICCV 2015)."""
    if isinstance(module, nn.Conv2d):
        return [Draw(module.weight, "normal", (2.0 / module.weight[0].numel()) ** 0.5)]
    return pytorch_default(module)


def build(
    settings: NetworkSettings,  # noqa: ARG001
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of 8 pixels a side or more; the embedding is the mean over the last maps (1024).

    The stem is ImageNet's 7x7 convolution where both its halvings stay (from 128 pixels on), a 3x3 one otherwise. Convolutions
    start normal by their inputs, as in torchvision; it has no biases in them.
    """
    with made_on(device):
        model = densenet121()
        stem, kept = model.features.conv0, halvings(size)
        halve_at_most(kept, (stem, model.features.pool0))
        model.features.conv0 = with_inputs(stem, channels, kernel=7 if kept == 2 else 3)
    embedding_size = model.classifier.in_features
    model.classifier = nn.Identity()
    return Network(
        model.to(dtype),
        embedding_size=embedding_size,
        classes=classes,
        initialisation=_initialisation,
        device=device,
        dtype=dtype,
    )
