"""WRN-16-2: a residual network of 16 layers, twice as wide (Zagoruyko and Komodakis, BMVC 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.initial_weights import he_normal_by_outputs
from bacon.networks.layer_factory import LayerFactory
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_STEM = 16
_WIDTHS = (32, 64, 128)  # of three groups, each twice its original width
_BLOCKS = 2  # of each group: (16 - 4) / 6


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of any size; the embedding is the mean over the last maps (128), 8x8 for 32x32 images.

    Convolutions start normal by their outputs, as in the authors' code.
    """
    make = LayerFactory(settings, channels, size, device, dtype)
    layers: list[nn.Module] = [make.conv(channels, _STEM, 3, padding=1, bias=False)]
    inputs = _STEM
    for group, width in enumerate(_WIDTHS):
        for block in range(_BLOCKS):
            layers.append(_PreActivationBlock(make, inputs, width, stride=2 if group and not block else 1))
            inputs = width
    layers += [*make.norms(inputs), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)]
    return Network(
        nn.Sequential(*layers),
        embedding_size=inputs,
        classes=classes,
        initialisation=he_normal_by_outputs,
        device=device,
        dtype=dtype,
    )


class _PreActivationBlock(nn.Module):
    """Norm and ReLU before each of two 3x3 convolutions; where the shape changes, the shortcut is a 1x1 convolution."""

    def __init__(self, make: LayerFactory, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        (self.norm1,) = make.norms(inputs)
        self.conv1 = make.conv(inputs, outputs, 3, padding=1, stride=stride, bias=False)
        (self.norm2,) = make.norms(outputs)
        self.conv2 = make.conv(outputs, outputs, 3, padding=1, bias=False)
        changes = inputs != outputs or stride != 1
        self.shortcut = make.conv(inputs, outputs, 1, padding=0, stride=stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        residual: Tensor = self.conv2(F.relu(self.norm2(self.conv1(active))))
        # The shortcut starts after norm and ReLU only where it has a convolution of its own, as published.
        return residual + (x if self.shortcut is None else self.shortcut(active))
