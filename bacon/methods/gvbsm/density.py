"""Data densification: the images of a class in a batch are to spread evenly over the directions that they span (G-VBSM)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE = 32


def densities(images: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """KL divergence of the softmax of the eigenvalues of each class's Gram matrix from the one at a temperature.

    Args:
        images: (G * B, C, H, W) float, batch after batch.
        labels: (G, B) int64, the classes, the same number of images of a class side by side.
        temperature: of the target distribution, above 1.

    Returns:
        (G,) sums over the classes of each batch; 0 for a class with one image.
    """
    rows = F.adaptive_avg_pool2d(images, _SIDE).flatten(1).unflatten(0, labels.shape)  # (G, B, D)
    return torch.stack([_of_batch(each, own, temperature) for each, own in zip(rows, labels, strict=True)])


def _of_batch(rows: Tensor, labels: Tensor, temperature: float) -> Tensor:
    sizes = labels.unique_consecutive(return_counts=True)[1].tolist()
    return torch.stack([_of_class(own, temperature) for own in rows.split(sizes)]).sum()


def _of_class(rows: Tensor, temperature: float) -> Tensor:
    values = torch.linalg.eigvalsh(rows @ rows.T)
    target = (values.detach() / temperature).softmax(dim=0)
    return F.kl_div(values.log_softmax(dim=0), target, reduction="sum")
