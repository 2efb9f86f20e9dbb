"""What the stages of a network give on the way to its embedding, for methods that match more than the embedding.

A stage of a plain network ends with an activation, before the pooling; of a ResNet with the last block of one map size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.kernels.pooling import AveragePool
from bacon.runtime.errors import BaconError

_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.SiLU)
_POOL = AveragePool()
_RESNET_STAGES = ("layer1", "layer2", "layer3", "layer4")


def stage_maps(features: nn.Module, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The maps of each stage, and what ``features`` gives, of images (N, C, H, W) float.

    Args:
        features: the part of a network below its classifier.
        x: the images.

    Returns:
        The maps of each stage, (N, C', H', W'), first stage first; and the output, as ``features(x)``.

    Raises:
        BaconError: the network has no stages that are known.
    """
    if isinstance(features, nn.Sequential):
        return _of_layers(list(features), x)
    # By its parts: naming torchvision's class would make every job import torchvision.
    if stages := [part for name in _RESNET_STAGES if isinstance(part := getattr(features, name, None), nn.Sequential)]:
        maps: list[Tensor] = []
        with _noted(stages, maps.append):
            output: Tensor = features(x)
        return maps, output
    raise BaconError(
        "network.architecture: this method matches the maps of a network's stages, which are known of ConvNet, AlexNet, VGG "
        "and ResNets; distil with one of them (the set can be evaluated with any network)"
    )


def _of_layers(layers: Sequence[nn.Module], x: Tensor) -> tuple[list[Tensor], Tensor]:
    maps = []
    for layer in layers:
        if isinstance(layer, InstanceNormReluPool):
            # As one pass the block gives pooled maps alone.
            x = F.relu(F.group_norm(x, layer.num_groups, layer.weight, layer.bias, layer.eps), inplace=True)
            maps.append(x)
            x = _POOL(x)
            continue
        x = layer(x)
        if isinstance(layer, _ACTIVATIONS):
            maps.append(x)
    return maps, x


@contextmanager
def _noted(modules: Sequence[nn.Module], note: Callable[[Tensor], None]) -> Iterator[None]:
    """``note`` gets the output of each of ``modules`` that runs meanwhile."""

    def hook(_: nn.Module, __: Any, output: Tensor) -> None:
        note(output)

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
