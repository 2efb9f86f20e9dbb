"""VGG for small images: VGG's convolutions (configurations A, B and D of Simonyan and Zisserman, 2015) and one linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.layer_factory import LayerFactory
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_CONVOLUTIONS: dict[str, tuple[int | str, ...]] = {
    "vgg11": (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"),
    "vgg13": (64, 64, "pool", 128, 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"),
    "vgg16": (
        *(64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool"),
        *(512, 512, 512, "pool", 512, 512, 512, "pool"),
    ),
}  # channels of the convolutions


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of any size; the first convolution pads 28x28 to 32x32.

    Of the five poolings those that would halve a single pixel (the fifth at 16x16) are left out.
    """
    make = LayerFactory(settings, channels, size, device, dtype)
    layers: list[nn.Module] = []
    inputs, side = channels, make.first_side
    for index, step in enumerate(_CONVOLUTIONS[settings.architecture]):
        if isinstance(step, int):
            padding = 1 + (make.extra_padding if index == 0 else 0)
            layers += [*make.conv_and_norm(inputs, step, 3, padding=padding), nn.ReLU()]
            inputs = step
        elif side > 1:
            layers.append(nn.MaxPool2d(2))
            side //= 2
    return Network(nn.Sequential(*layers), embedding_size=inputs * side**2, classes=classes, device=device, dtype=dtype)
