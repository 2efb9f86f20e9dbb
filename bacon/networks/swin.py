"""Swin-Tiny (Liu et al., ICCV 2021) of torchvision, with smaller patches and windows for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import SwinTransformer
from torchvision.models.swin_transformer import ShiftedWindowAttention

from bacon.networks.adaptation import halvings, made_on
from bacon.networks.initial_weights import Draw, pytorch_default
from bacon.networks.network import Network

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_IMAGENET_SIDE = 224


def build(
    settings: NetworkSettings,  # noqa: ARG001
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images of 25 pixels a side or more; the embedding is the mean over the last maps (768).

    Patches of 4x4 pixels from 128 pixels on, of 2x2 from 64, of one pixel below, so that the last maps are 4x4 or larger.
    Windows of 7x7 patches from 224 pixels on, as published, of 4x4 below. Parameters start from torchvision's distributions;
    without stochastic depth.
    """
    patch = 2 ** halvings(size)
    window = 7 if size >= _IMAGENET_SIDE else 4
    with made_on(device):
        model = SwinTransformer(
            patch_size=[patch, patch],
            embed_dim=96,
            depths=[2, 2, 6, 2],
            num_heads=[3, 6, 12, 24],
            window_size=[window, window],
            stochastic_depth_prob=0.0,
        )
        model.features[0][0] = nn.Conv2d(channels, 96, patch, patch)
        embedding_size = model.head.in_features
        model.head = nn.Identity()
    return Network(
        model.to(dtype),
        embedding_size=embedding_size,
        classes=classes,
        initialisation=_initialisation,
        device=device,
        dtype=dtype,
    )


def _initialisation(module: nn.Module) -> list[Draw]:
    """torchvision's: linear layers and tables of relative positions N(0, .02^2), biases 0; the patches PyTorch's default."""
    if isinstance(module, nn.Linear):
        if module.bias is not None:
            module.bias.zero_()
        return [Draw(module.weight, "normal", 0.02)]
    if isinstance(module, ShiftedWindowAttention):
        table = module.relative_position_bias_table
        with torch.device(table.device):
            module.define_relative_position_index()
        return [Draw(table, "normal", 0.02)]
    return pytorch_default(module)
