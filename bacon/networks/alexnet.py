"""AlexNet in DC's variant for small images: five convolutions, three poolings, one linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.layer_factory import LayerFactory
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_CONVOLUTIONS = (
    (128, 5, True),
    (192, 5, True),
    (256, 3, False),
    (192, 3, False),
    (192, 3, True),
)  # channels, kernel, pooled


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of 8 pixels a side or more; the first convolution pads 28x28 to 32x32."""
    make = LayerFactory(settings, channels, size, device, dtype)
    layers: list[nn.Module] = []
    inputs = channels
    for index, (outputs, kernel, pooled) in enumerate(_CONVOLUTIONS):
        padding = kernel // 2 + (make.extra_padding if index == 0 else 0)
        layers += [*make.conv_and_norm(inputs, outputs, kernel, padding=padding), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pooled else []
        inputs = outputs
    side = make.first_side // 8
    return Network(nn.Sequential(*layers), embedding_size=inputs * side**2, classes=classes, device=device, dtype=dtype)
