"""EfficientNet-B0 (Tan and Le, 2019) of torchvision, with fewer halvings for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import efficientnet_b0

from bacon.networks.adaptation import halve_at_most, halvings, made_on, with_inputs
from bacon.networks.initial_weights import he_normal_by_outputs
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


def build(
    settings: NetworkSettings,  # noqa: ARG001
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of any size; the embedding is the mean over the last maps (1280).

    Parameters start as torchvision's: convolutions normal by their outputs, biases 0. Without dropout and stochastic depth.
    """
    with made_on(device):
        model = efficientnet_b0(stochastic_depth_prob=0.0)
        stem, second = model.features[0][0], model.features[2][0].block[1][0]
        halve_at_most(halvings(size), (stem, second))
        model.features[0][0] = with_inputs(stem, channels)
    embedding_size = model.classifier[1].in_features
    model.classifier = nn.Identity()
    return Network(
        model.to(dtype),
        embedding_size=embedding_size,
        classes=classes,
        initialisation=he_normal_by_outputs,
        device=device,
        dtype=dtype,
    )
