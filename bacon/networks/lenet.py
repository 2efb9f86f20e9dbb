"""LeNet-5 with ReLU and max pooling, as DC and DC-BENCH evaluate with it (LeCun et al., 1998)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.layer_factory import LayerFactory
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of 16 pixels a side or more; the first convolution pads 28x28 to 32x32. The embedding has 84 entries."""
    make = LayerFactory(settings, channels, size, device, dtype)
    side = ((make.first_side - 4) // 2 - 4) // 2
    layers = [
        *(make.conv(channels, 6, 5, padding=make.extra_padding), nn.ReLU(), nn.MaxPool2d(2)),
        *(make.conv(6, 16, 5, padding=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(make.linear(16 * side**2, 120), nn.ReLU(), make.linear(120, 84), nn.ReLU()),
    ]
    return Network(nn.Sequential(*layers), embedding_size=84, classes=classes, device=device, dtype=dtype)
