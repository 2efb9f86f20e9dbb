"""A perceptron with two hidden layers of 128, as DC and DC-BENCH evaluate with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.layer_factory import LayerFactory
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_WIDTH = 128


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of any size, flattened; the embedding is the second hidden layer, after its ReLU."""
    make = LayerFactory(settings, channels, size, device, dtype)
    first, second = make.linear(channels * size**2, _WIDTH), make.linear(_WIDTH, _WIDTH)
    layers = (nn.Flatten(), first, nn.ReLU(), second, nn.ReLU())
    return Network(nn.Sequential(*layers), embedding_size=_WIDTH, classes=classes, device=device, dtype=dtype)
