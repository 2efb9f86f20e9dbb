"""ConvNet, in which every distillation method embeds images (DC, Zhao et al., ICLR 2021; docs/algorithms.md, Network).

``depth`` blocks of [3x3 convolution -> normalisation -> activation -> pooling by 2], then one linear layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bacon.networks.convnet_limits import GROUPS, check_fits, map_sizes
from bacon.networks.convolution import Convolution
from bacon.networks.kernels import classifier_gpu
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.kernels.first import first_block
from bacon.networks.kernels.pooling import AveragePool
from bacon.networks.network import Network
from bacon.networks.padding import extra_padding

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings


class ConvNet(Network):
    """ConvNet of DC, DM, IDM and BACON.

    Norm "instance" is GroupNorm with one channel a group, on the CPU also the fastest exact form of PyTorch's (see benchmarks).

    Args:
        settings: width, depth, norm, activation and pooling.
        channels: channels of the images.
        size: height and width of the images in pixels.
        classes: number of classes.
        device: where the parameters are made; "meta" makes none (see ``bacon.networks.build``).
        dtype: of the parameters, float32 or float64.

    Raises:
        BaconError: the images are too small for the depth, or the width does not divide into groups.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        channels: int,
        size: int,
        classes: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_fits(settings, size)
        sizes = map_sizes(settings, size)
        blocks: list[nn.Module] = []
        for index, map_size in enumerate(sizes):
            width_in = channels if index == 0 else settings.width
            padding = 1 + (extra_padding(size) if index == 0 else 0)
            convolution = Convolution(width_in, settings.width, 3, padding=padding, device=device, dtype=dtype)
            convolution.bias_cancels = settings.norm == "instance"
            blocks.append(convolution)
            if (settings.norm, settings.activation, settings.pooling) == ("instance", "relu", "avg"):
                blocks.append(InstanceNormReluPool(settings.width, device=device, dtype=dtype))
                continue
            blocks += _norm(settings, map_size, device, dtype)
            blocks += [_activation(settings), *_pooling(settings)]
        last = sizes[-1] if settings.pooling == "none" else sizes[-1] // 2
        super().__init__(
            nn.Sequential(*blocks),
            embedding_size=settings.width * last * last,
            classes=classes,
            device=device,
            dtype=dtype,
        )

    def maps(self, x: Tensor) -> Tensor:
        """:meth:`Network.maps`, with the first block in one pass where it can be; on a CPU that pass knows no bfloat16.

        In one pass the convolution is not called, so not where hooks wait for that.
        """
        convolution, norm, *rest = self.features.children()
        has_hooks = bool(convolution._forward_hooks or convolution._forward_pre_hooks)
        known = not has_hooks and (x.is_cuda or self.precision != "bf16")
        if not (known and isinstance(convolution, nn.Conv2d) and isinstance(norm, InstanceNormReluPool)):
            return super().maps(x)
        maps = first_block(x, convolution, norm)
        for layer in rest:
            maps = layer(maps)
        return maps

    def classify_maps(self, maps: Tensor, dtype: torch.dtype) -> Tensor:
        """:meth:`Network.classify_maps`; a GPU reads them as they lie in memory, where it can."""
        layer = self.classifier
        if dtype == torch.float32 and classifier_gpu.takes_kernel(maps, layer.weight, layer.bias):
            return classifier_gpu.classified(maps, layer.weight, layer.bias)
        return super().classify_maps(maps, dtype)


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ConvNet:
    """What the registry names; arguments as :class:`ConvNet`."""
    return ConvNet(settings, channels=channels, size=size, classes=classes, device=device, dtype=dtype)


def _norm(
    settings: NetworkSettings, size: int, device: torch.device | str | None, dtype: torch.dtype | None
) -> list[nn.Module]:
    width = settings.width
    if settings.norm == "instance":
        return [nn.GroupNorm(width, width, device=device, dtype=dtype)]
    if settings.norm == "batch":
        return [nn.BatchNorm2d(width, device=device, dtype=dtype)]
    if settings.norm == "layer":
        return [nn.LayerNorm((width, size, size), device=device, dtype=dtype)]
    if settings.norm == "group":
        return [nn.GroupNorm(GROUPS, width, device=device, dtype=dtype)]
    return []


def _activation(settings: NetworkSettings) -> nn.Module:
    # In place where the derivative follows from the output: the map before it is needed by nobody.
    activations: dict[str, nn.Module] = {
        "relu": nn.ReLU(inplace=True),
        "leaky_relu": nn.LeakyReLU(0.01, inplace=True),
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
        "swish": nn.SiLU(),
    }
    return activations[settings.activation]


def _pooling(settings: NetworkSettings) -> list[nn.Module]:
    if settings.pooling == "none":
        return []
    return [AveragePool() if settings.pooling == "avg" else nn.MaxPool2d(2)]
