"""Data densification: the images of a class in a batch are to spread evenly over the directions that they span (G-VBSM)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE = 32


def densities(images: Tensor, sizes: Sequence[Sequence[int]], temperature: float) -> Tensor:
    """KL divergence of the softmax of the eigenvalues of each class's Gram matrix from the one at a temperature.

    Args:
        images: (M, C, H, W) float, batch after batch, in each class after class.
        sizes: of each batch, images of each of its classes; on the host, so that nobody waits for the device.
        temperature: of the target distribution, above 1.

    Returns:
        (batches,) sums over the classes of each batch; 0 for a class with one image.
    """
    rows = _pooled(images).flatten(1)
    flat = [(batch, size) for batch, own in enumerate(sizes) for size in own]
    starts = [0, *accumulate(size for _, size in flat)]
    sums = rows.new_zeros(len(sizes))
    for size in sorted({size for _, size in flat} - {1}):
        alike = [number for number, (_, own) in enumerate(flat) if own == size]
        together = torch.stack([rows[starts[number] : starts[number + 1]] for number in alike])  # (K, size, D)
        batches = torch.tensor([flat[number][0] for number in alike], device=rows.device)
        sums = sums.index_add(0, batches, _divergences(together, temperature))
    return sums


def _pooled(images: Tensor) -> Tensor:
    """(M, C, 32, 32): ``F.adaptive_avg_pool2d``, whose gradient has no fixed order on a GPU; there, two products."""
    if not images.is_cuda:
        return F.adaptive_avg_pool2d(images, _SIDE)
    down, across = (_means(side, images) for side in images.shape[-2:])
    return down @ images @ across.T


def _means(side: int, like: Tensor) -> Tensor:
    """(32, side): row i holds the mean of the pixels from floor(i side / 32) to ceil((i + 1) side / 32)."""
    place, row = torch.arange(side, device=like.device), torch.arange(_SIDE, device=like.device)[:, None]
    inside = (place >= row * side // _SIDE) & (place < ((row + 1) * side + _SIDE - 1) // _SIDE)
    shares = inside.to(like.dtype)
    return shares / shares.sum(dim=1, keepdim=True)


def _divergences(rows: Tensor, temperature: float) -> Tensor:
    """(K,) of classes of the same size, (K, n, D)."""
    values = torch.linalg.eigvalsh(rows @ rows.transpose(1, 2))
    target = (values.detach() / temperature).softmax(dim=1)
    return F.kl_div(values.log_softmax(dim=1), target, reduction="none").sum(dim=1)
