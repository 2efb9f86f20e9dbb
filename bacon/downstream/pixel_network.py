"""A network with its normalisation in front of it, as attacks and corruptions need it: on pixels in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bacon.training.image_set import ImageSet


class PixelNetwork(nn.Module):
    """Pixels (N, C, H, W) float32 in [0, 1] to logits; differentiable by the pixels.

    Args:
        network: takes normalised images; its parameters take no gradient.
        images: the set whose normalisation, or whitening, the network was trained with; its images are uint8.
    """

    def __init__(self, network: nn.Module, images: ImageSet) -> None:
        super().__init__()
        self.network, self._images = network, images

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, classes)."""
        logits: Tensor = self.network(self._images.normalised(255 * pixels))
        return logits


def pixels_at(images: ImageSet, places: Tensor) -> Tensor:
    """Pixels (B, C, H, W) float32 in [0, 1] of a uint8 set, on its device."""
    chosen = images.images.index_select(0, places.to(images.images.device))
    return chosen.to(images.device).to(torch.float32) / 255
