"""ViT-Tiny (DeiT-Ti: Touvron et al., ICML 2021) of torchvision's parts, with smaller patches for small images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torchvision.models import VisionTransformer
from torchvision.models.vision_transformer import Encoder

from bacon.networks.adaptation import made_on
from bacon.networks.initial_weights import Draw, pytorch_default
from bacon.networks.network import Network
from bacon.networks.vit_limits import check_fits, patch_side

if TYPE_CHECKING:
    from bacon.settings.network import NetworkSettings

_WIDTH, _LAYERS, _HEADS = 192, 12, 3


def build(
    settings: NetworkSettings,
    *,
    channels: int,
    size: int,
    classes: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Images that patches divide (``bacon.networks.vit_limits``); the embedding is the class token's (192).

    Parameters start from torchvision's distributions; no dropout.
    """
    check_fits(settings, size)
    patch = patch_side(size)
    assert patch is not None
    with made_on(device):
        model = _Transformer(
            image_size=size,
            patch_size=patch,
            num_layers=_LAYERS,
            num_heads=_HEADS,
            hidden_dim=_WIDTH,
            mlp_dim=4 * _WIDTH,
        )
        model.conv_proj = nn.Conv2d(channels, _WIDTH, patch, patch)
        model.heads = nn.Identity()
    return Network(
        model.to(dtype),
        embedding_size=_WIDTH,
        classes=classes,
        initialisation=_initialisation,
        device=device,
        dtype=dtype,
    )


class _Transformer(VisionTransformer):  # type: ignore[misc] # torchvision has no types
    def forward(self, x: Tensor) -> Tensor:
        # The fused attentions have no second derivative, and on a GPU theirs is not the same in every run.
        with sdpa_kernel(SDPBackend.MATH):
            embedding: Tensor = super().forward(x)
        return embedding


def _initialisation(module: nn.Module) -> list[Draw]:
    """torchvision's: patches N(0, 1 / fan_in); attention and hidden layers uniform by Glorot; positions N(0, .02^2).

    torchvision cuts its normal numbers off at +-2, many standard deviations away; they are not cut off here.
    """
    if isinstance(module, VisionTransformer):
        module.class_token.zero_()
        return []
    if isinstance(module, Encoder):
        return [Draw(module.pos_embedding, "normal", 0.02)]
    if isinstance(module, nn.MultiheadAttention):
        assert module.in_proj_bias is not None
        module.in_proj_bias.zero_()
        return [Draw(module.in_proj_weight, "uniform", _glorot(module.in_proj_weight))]
    if isinstance(module, NonDynamicallyQuantizableLinear):  # what attention puts out
        module.bias.zero_()
        return [Draw(module.weight, "uniform", module.in_features**-0.5)]
    if isinstance(module, nn.Linear):
        return [Draw(module.weight, "uniform", _glorot(module.weight)), Draw(module.bias, "normal", 1e-6)]
    if isinstance(module, nn.Conv2d):
        assert module.bias is not None
        module.bias.zero_()
        return [Draw(module.weight, "normal", module.weight[0].numel() ** -0.5)]
    return pytorch_default(module)


def _glorot(weight: Tensor) -> float:
    """Bound of Glorot's uniform distribution for a matrix (outputs, inputs)."""
    return math.sqrt(6.0 / sum(weight.shape))
