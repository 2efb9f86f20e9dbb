"""Layers of the small networks that are written here, made on one device in one dtype, with the norm of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.convolution import Convolution
from bacon.networks.padding import extra_padding, first_side

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


@dataclass(frozen=True)
class LayerFactory:
    """Where parameters are made, the images' shape, and the norm."""

    settings: NetworkSettings
    channels: int
    size: int
    device: torch.device | str | None
    dtype: torch.dtype | None

    @property
    def extra_padding(self) -> int:
        """Of the first convolution: 28x28 images are brought to 32x32."""
        return extra_padding(self.size)

    @property
    def first_side(self) -> int:
        """Side of the maps of a first convolution that keeps the size: 32 for 28x28 images."""
        return first_side(self.size)

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, padding: int, stride: int = 1, bias: bool = True
    ) -> Convolution:
        """A square convolution."""
        return Convolution(inputs, outputs, kernel, stride, padding, bias=bias, device=self.device, dtype=self.dtype)

    def conv_and_norm(self, inputs: int, outputs: int, kernel: int, *, padding: int) -> list[nn.Module]:
        """A square convolution with bias and the norm of its maps."""
        convolution = self.conv(inputs, outputs, kernel, padding=padding)
        convolution.bias_cancels = self.settings.norm == "instance"
        return [convolution, *self.norms(outputs)]

    def linear(self, inputs: int, outputs: int) -> nn.Linear:
        """A linear layer with bias."""
        return nn.Linear(inputs, outputs, device=self.device, dtype=self.dtype)

    def norms(self, channels: int) -> list[nn.Module]:
        """The norm of maps with so many channels; none where the network is without."""
        if self.settings.norm == "none":
            return []
        if self.settings.norm == "batch":
            return [nn.BatchNorm2d(channels, device=self.device, dtype=self.dtype)]
        return [nn.GroupNorm(channels, channels, device=self.device, dtype=self.dtype)]
