"""The cross-architecture pool beside ConvNet, in the variants for small images that the field evaluates distilled sets with.

MLP, LeNet, AlexNet, VGG11 and ResNet18 as in DC, DM and DC-BENCH (docs/algorithms.md, Network). Where those are written for
32x32 alone, ours take other sizes and are the same network at 32x32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.limits import PADDED_SIZE, check_fits
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_MLP_WIDTH = 128
_VGG11 = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")
_RESNET18 = (64, 128, 256, 512)  # channels of the four stages of two blocks


@dataclass(frozen=True, kw_only=True)
class _Making:
    """Where parameters are made, the images' shape, and the norm."""

    channels: int
    size: int
    norm: str
    device: torch.device | str | None
    dtype: torch.dtype | None

    @property
    def extra_padding(self) -> int:
        """Of the first convolution: 28x28 images are brought to 32x32."""
        return 2 if self.size == PADDED_SIZE else 0

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, padding: int, stride: int = 1, bias: bool = True
    ) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias, device=self.device, dtype=self.dtype)

    def linear(self, inputs: int, outputs: int) -> nn.Linear:
        return nn.Linear(inputs, outputs, device=self.device, dtype=self.dtype)

    def norms(self, channels: int) -> list[nn.Module]:
        """The norm after a convolution; none where the architecture is without."""
        if self.norm == "none":
            return []
        if self.norm == "batch":
            return [nn.BatchNorm2d(channels, device=self.device, dtype=self.dtype)]
        return [nn.GroupNorm(channels, channels, device=self.device, dtype=self.dtype)]


def classic_network(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """A network of the pool, with parameters made but not initialised by our draws (see ``bacon.networks.build``).

    Args:
        settings: architecture and norm.
        channels: channels of the images.
        size: height and width of the images in pixels.
        classes: number of classes.
        device: where the parameters are made; "meta" makes none.
        dtype: of the parameters, float32 or float64.

    Raises:
        BaconError: the images are too small for the architecture.
    """
    check_fits(settings, size)
    making = _Making(channels=channels, size=size, norm=settings.norm, device=device, dtype=dtype)
    features, embedding_size = _FEATURES[settings.architecture](making)
    return Network(features, embedding_size=embedding_size, classes=classes, device=device, dtype=dtype)


def _mlp(making: _Making) -> tuple[nn.Module, int]:
    pixels = making.channels * making.size**2
    layers = (making.linear(pixels, _MLP_WIDTH), nn.ReLU(), making.linear(_MLP_WIDTH, _MLP_WIDTH), nn.ReLU())
    return nn.Sequential(nn.Flatten(), *layers), _MLP_WIDTH


def _lenet(making: _Making) -> tuple[nn.Module, int]:
    side = (making.size + 2 * making.extra_padding - 4) // 2
    side = (side - 4) // 2
    layers = [
        *(making.conv(making.channels, 6, 5, padding=making.extra_padding), nn.ReLU(), nn.MaxPool2d(2)),
        *(making.conv(6, 16, 5, padding=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(making.linear(16 * side**2, 120), nn.ReLU(), making.linear(120, 84), nn.ReLU()),
    ]
    return nn.Sequential(*layers), 84


def _alexnet(making: _Making) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    inputs = making.channels
    for index, (outputs, kernel, pooled) in enumerate(
        ((128, 5, True), (192, 5, True), (256, 3, False), (192, 3, False), (192, 3, True))
    ):
        padding = kernel // 2 + (making.extra_padding if index == 0 else 0)
        layers += [making.conv(inputs, outputs, kernel, padding=padding), *making.norms(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pooled else []
        inputs = outputs
    side = (making.size + 2 * making.extra_padding) // 8
    return nn.Sequential(*layers), inputs * side**2


def _vgg11(making: _Making) -> tuple[nn.Module, int]:
    """Five poolings; those that would halve a single pixel (the fifth at 16x16) are left out."""
    layers: list[nn.Module] = []
    inputs, side = making.channels, making.size + 2 * making.extra_padding
    for index, step in enumerate(_VGG11):
        if isinstance(step, int):
            padding = 1 + (making.extra_padding if index == 0 else 0)
            layers += [making.conv(inputs, step, 3, padding=padding), *making.norms(step), nn.ReLU()]
            inputs = step
        elif side > 1:
            layers.append(nn.MaxPool2d(2))
            side //= 2
    return nn.Sequential(*layers), inputs * side**2


def _resnet18(making: _Making) -> tuple[nn.Module, int]:
    """A 3x3 stem without pooling, and the mean over the last maps, which are 4x4 for 32x32 images."""
    stem = [making.conv(making.channels, 64, 3, padding=1, bias=False), *making.norms(64), nn.ReLU()]
    blocks: list[nn.Module] = []
    inputs = 64
    for stage, outputs in enumerate(_RESNET18):
        for block in range(2):
            blocks.append(_BasicBlock(making, inputs, outputs, stride=2 if stage and not block else 1))
            inputs = outputs
    return nn.Sequential(*stem, *blocks, _SpatialMean()), inputs


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, which is a 1x1 convolution where the shape changes (ResNet, He et al., 2016)."""

    def __init__(self, making: _Making, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            making.conv(inputs, outputs, 3, padding=1, stride=stride, bias=False),
            *making.norms(outputs),
            nn.ReLU(),
            making.conv(outputs, outputs, 3, padding=1, bias=False),
            *making.norms(outputs),
        )
        projection = [making.conv(inputs, outputs, 1, padding=0, stride=stride, bias=False), *making.norms(outputs)]
        self.shortcut = nn.Sequential(*(projection if stride != 1 or inputs != outputs else ()))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class _SpatialMean(nn.Module):
    """(N, C) means of maps (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


_FEATURES: Mapping[str, Callable[[_Making], tuple[nn.Module, int]]] = {
    "mlp": _mlp,
    "lenet": _lenet,
    "alexnet": _alexnet,
    "vgg11": _vgg11,
    "resnet18": _resnet18,
}
