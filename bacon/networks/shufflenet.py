"""ShuffleNetV2 x1.0 and x0.5 (Ma et al., 2018) of torchvision, with fewer halvings for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import shufflenet_v2_x0_5, shufflenet_v2_x1_0

from bacon.networks.adaptation import halve_at_most, halvings, made_on, with_inputs
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

HALF = "shufflenet_v2_x0_5"
"""The architecture with half the channels."""


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of any size; the embedding is the mean over the last maps (1024).

    Every parameter starts as PyTorch's constructors draw it, as in torchvision.
    """
    with made_on(device):
        model = shufflenet_v2_x0_5() if settings.architecture == HALF else shufflenet_v2_x1_0()
        halve_at_most(halvings(size), (model.conv1[0], model.maxpool))
        model.conv1[0] = with_inputs(model.conv1[0], channels)
    embedding_size = model.fc.in_features
    model.fc = nn.Identity()
    return Network(
        model.to(dtype),
        embedding_size=embedding_size,
        classes=classes,
        device=device,
        dtype=dtype,
    )
