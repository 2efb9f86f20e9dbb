"""ResNet-18, -50 and -101 (He et al., 2016) of torchvision, with a stem for small images or ImageNet's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import ResNet, resnet18, resnet50, resnet101

from bacon.networks.adaptation import made_on, with_inputs
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_MODELS = {"resnet18": resnet18, "resnet50": resnet50, "resnet101": resnet101}


def _instance_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels, channels)


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,  # noqa: ARG001
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of any size; the embedding is the mean over the last maps, 4x4 for 32x32 images with the 3x3 stem.

    Every parameter starts as PyTorch's constructors draw it.
    """
    with made_on(device):
        model: ResNet = _MODELS[settings.architecture](
            norm_layer=_instance_norm if settings.norm == "instance" else None
        )
        if settings.stem == "3x3":
            model.conv1 = with_inputs(model.conv1, channels, kernel=3, stride=1)
            model.maxpool = nn.Identity()
        else:
            model.conv1 = with_inputs(model.conv1, channels)
    embedding_size = model.fc.in_features
    model.fc = nn.Identity()
    return Network(
        model.to(dtype),
        embedding_size=embedding_size,
        classes=classes,
        device=device,
        dtype=dtype,
    )
