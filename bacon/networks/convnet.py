"""ConvNet, in which every distillation method embeds images (DC, Zhao et al., ICLR 2021; docs/algorithms.md, Network).

``depth`` blocks of [3x3 convolution -> normalisation -> activation -> pooling by 2], then one linear layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.block import InstanceNormReluPool
from bacon.networks.first import first_block
from bacon.networks.pooling import AveragePool
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings import NetworkSettings

_GROUPS = 4  # of norm "group", as in DC's code
_PADDED_SIZE = 28  # MNIST-like images: the first convolution pads by 3, so that the maps are 32x32


class ConvNet(nn.Module):
    """ConvNet of DC, DM, IDM and BACON.

    Norm "instance" is GroupNorm with one channel a group, which on the CPU is also the fastest exact form: forward and
    backward 1.6 ms at (256, 32, 16, 16) on one core, against 3.3 ms for ``F.instance_norm`` (see benchmarks).

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
        super().__init__()
        sizes = _map_sizes(settings, size)
        blocks: list[nn.Module] = []
        for index, map_size in enumerate(sizes):
            width_in = channels if index == 0 else settings.width
            padding = 3 if index == 0 and size == _PADDED_SIZE else 1
            blocks.append(nn.Conv2d(width_in, settings.width, 3, padding=padding, device=device, dtype=dtype))
            if (settings.norm, settings.activation, settings.pooling) == ("instance", "relu", "avg"):
                blocks.append(InstanceNormReluPool(settings.width, device=device, dtype=dtype))
                continue
            blocks += _norm(settings, map_size, device, dtype)
            blocks += [_activation(settings), *_pooling(settings)]
        self.features = nn.Sequential(*blocks)
        last = sizes[-1] if settings.pooling == "none" else sizes[-1] // 2
        self.embedding_size = settings.width * last * last
        self.classifier = nn.Linear(self.embedding_size, classes, device=device, dtype=dtype)

    def embed(self, x: Tensor) -> Tensor:
        """Embedding psi: the flattened output of the convolutional part.

        Args:
            x: (N, C, H, W) float, normalised images.

        Returns:
            (N, embedding_size) float.
        """
        convolution, norm = self.features[0], self.features[1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, InstanceNormReluPool):
            maps = first_block(x, convolution, norm)
            for layer in self.features[2:]:
                maps = layer(maps)
        else:
            maps = self.features(x)
        return maps.flatten(1)

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits (N, classes) of embeddings (N, embedding_size)."""
        return F.linear(embedding, self.classifier.weight, self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        return self.classify(self.embed(x))


def _map_sizes(settings: NetworkSettings, size: int) -> list[int]:
    """Side of the maps that each block's convolution makes; pooling halves them, rounding down."""
    sizes = [size + 4 if size == _PADDED_SIZE else size]
    halve = settings.pooling != "none"
    for _ in range(settings.depth - 1):
        sizes.append(sizes[-1] // 2 if halve else sizes[-1])
    if halve and sizes[-1] < 2:
        deepest = sizes[0].bit_length() - 1
        raise BaconError(
            f"network.depth: {settings.depth} blocks halve images of {size}x{size} pixels to nothing; "
            f"allowed for this size: 1 to {deepest}. Lower network.depth or raise the data set's size."
        )
    return sizes


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
        if width % _GROUPS:
            raise BaconError(
                f"network.width: {width} channels do not divide into the {_GROUPS} groups of network.norm 'group'; "
                f"give a multiple of {_GROUPS}, or another norm."
            )
        return [nn.GroupNorm(_GROUPS, width, device=device, dtype=dtype)]
    return []


def _activation(settings: NetworkSettings) -> nn.Module:
    # In place where the derivative follows from the output: the map before it is needed by nobody.
    activations: dict[str, nn.Module] = {
        "relu": nn.ReLU(inplace=True),
        "leaky_relu": nn.LeakyReLU(0.01, inplace=True),
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
    }
    return activations[settings.activation]


def _pooling(settings: NetworkSettings) -> list[nn.Module]:
    if settings.pooling == "none":
        return []
    return [AveragePool() if settings.pooling == "avg" else nn.MaxPool2d(2)]
