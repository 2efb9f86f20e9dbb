"""The ConvNet that KIP's images are tested with (Nguyen et al., NeurIPS 2021): wide, without norm, one convolution more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.convnet_limits import map_sizes
from bacon.networks.initial_weights import Draw, pytorch_default
from bacon.networks.kernels.pooling import AveragePool
from bacon.networks.kip_limits import check_fits
from bacon.networks.network import Network
from bacon.networks.padding import extra_padding

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_BIAS_STD = 0.1


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """A 3x3 convolution with ReLU, then blocks of a 3x3 convolution, ReLU and average pooling.

    Args:
        settings: width (published: 1024) and depth, the number of blocks.
        channels: channels of the images.
        size: height and width of the images in pixels.
        classes: number of classes.
        device: where the parameters are made.
        dtype: of the parameters, float32 or float64.

    Raises:
        BaconError: the images are too small for the depth.
    """
    check_fits(settings, size)
    width, layers = settings.width, list[nn.Module]()
    for number in range(settings.depth + 1):
        inputs, padding = (width, 1) if number else (channels, 1 + extra_padding(size))
        layers += [nn.Conv2d(inputs, width, 3, padding=padding, device=device, dtype=dtype), nn.ReLU(inplace=True)]
        layers += [AveragePool()] if number else []
    last = map_sizes(settings, size)[-1] // 2
    network = Network(
        nn.Sequential(*layers),
        embedding_size=width * last * last,
        classes=classes,
        initialisation=_initialisation,
        device=device,
        dtype=dtype,
    )
    network.classifier_initialisation = _initialisation
    return network


def _initialisation(module: nn.Module) -> list[Draw]:
    """Weights ~ N(0, 2 / fan_in), biases ~ N(0, 0.1^2)."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return pytorch_default(module)
    assert module.bias is not None, "every layer here has biases"
    spread = math.sqrt(2.0 / module.weight[0].numel())
    return [Draw(module.weight, "normal", spread), Draw(module.bias, "normal", _BIAS_STD)]
