"""What a trained network makes of an image set: its confusion matrix, its logits, and a teacher of several networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bacon.networks.network import Network
from bacon.training.batches import IMAGES_AT_ONCE
from bacon.training.image_set import ImageSet

_TEST_SHARE = 4  # a quarter of the images that are made at once are classified at once

Teacher = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) float32, normalised, augmented and mixed, to logits (B, K) float32."""


@torch.no_grad()
def confusion_matrix(model: nn.Module, images: ImageSet, classes: int, images_at_once: int = IMAGES_AT_ONCE) -> Tensor:
    """(classes, classes) int64 counts, row the label, column the largest logit, on the CPU; leaves the model in eval mode."""
    model.eval()
    counts = torch.zeros(classes * classes, dtype=torch.int64, device=images.device)
    size = max(1, images_at_once // _TEST_SHARE)
    for batch, labels in zip(images.pieces(size), images.labels.split(size), strict=True):
        place = labels * classes + model(batch).argmax(dim=1)
        # Added, not counted: bincount would wait for the device.
        counts.index_add_(0, place, torch.ones_like(place))
    return counts.view(classes, classes).cpu()


@torch.no_grad()
def logits(model: Network, images: ImageSet, images_at_once: int = IMAGES_AT_ONCE) -> Tensor:
    """(N, K) float32 logits of every image, on the images' device; leaves the model in eval mode."""
    model.eval()
    size = max(1, images_at_once // _TEST_SHARE)
    return torch.cat([model(batch) for batch in images.pieces(size)])


def ensemble(networks: Sequence[Network], *, equal_norms: bool = False) -> Teacher:
    """A teacher whose logits are the mean over ``networks``, which are put into eval mode and no longer trained.

    With ``equal_norms`` the logits of each network on a batch are first scaled to the mean of all networks' norms on it, so
    that none counts for more because its logits are larger (G-VBSM).
    """
    for network in networks:
        network.eval().requires_grad_(False)

    @torch.no_grad()
    def teacher(images: Tensor) -> Tensor:
        logits = torch.stack([network(images) for network in networks])
        if equal_norms:
            norms = torch.linalg.vector_norm(logits, dim=(1, 2), keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)
            logits = logits * (norms.mean() / norms)
        return logits.mean(dim=0)

    return teacher
