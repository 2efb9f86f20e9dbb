"""FRePo's ConvNet: each block has twice the channels of the one before (Zhou et al., NeurIPS 2022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from bacon.networks.convnet_limits import map_sizes
from bacon.networks.frepo_limits import check_fits, widths
from bacon.networks.initial_weights import Draw, pytorch_default
from bacon.networks.kernels.pooling import AveragePool
from bacon.networks.network import Network
from bacon.networks.padding import extra_padding

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_NEW_SHARE = 0.9  # of a batch's statistics in batch norm's running ones: they follow a set that changes


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Blocks of a 3x3 convolution, ReLU and average pooling; with norm ``batch``, batch norm before each but the first.

    Args:
        settings: width of the first block, depth, norm.
        channels: channels of the images.
        size: height and width of the images in pixels.
        classes: number of classes.
        device: where the parameters are made.
        dtype: of the parameters, float32 or float64.

    Raises:
        BaconError: the images are too small for the depth.
    """
    check_fits(settings, size)
    inputs, layers, own = channels, list[nn.Module](), widths(settings)
    for block, outputs in enumerate(own):
        if block and settings.norm == "batch":
            layers.append(nn.BatchNorm2d(inputs, momentum=_NEW_SHARE, device=device, dtype=dtype))
        padding = 1 + (0 if block else extra_padding(size))
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=padding, device=device, dtype=dtype))
        layers += [nn.ReLU(inplace=True), AveragePool()]
        inputs = outputs
    last = map_sizes(settings, size)[-1] // 2
    embedding = own[-1] * last * last
    network = Network(
        nn.Sequential(*layers),
        embedding_size=embedding,
        classes=classes,
        initialisation=_initialisation,
        device=device,
        dtype=dtype,
    )
    network.classifier_initialisation = _initialisation
    return network


def _initialisation(module: nn.Module) -> list[Draw]:
    """Weights ~ N(0, 1 / fan_in), biases 0: LeCun's, the default of the published code's library."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return pytorch_default(module)
    assert module.bias is not None, "every layer here has biases"
    module.bias.zero_()
    return [Draw(module.weight, "normal", math.sqrt(1.0 / module.weight[0].numel()))]
