"""Statistics of patches of feature maps: of every 4x4 block of a map, over images, channels and the places in the block."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 4
"""Side of a patch in places of a map."""


def patch_moments(maps: Tensor, batches: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (divided by the count) of every block of maps, row by row, in each batch.

    Maps whose sides are no multiples of 4 are enlarged to the next ones bilinearly first.

    Args:
        maps: (batches * B, C, H, W) float, batch after batch.
        batches: how many batches there are.

    Returns:
        Two tensors (batches, blocks).
    """
    maps = _enlarged(maps)
    height, width = (side // SIDE for side in maps.shape[-2:])
    each = maps.unflatten(3, (width, SIDE)).unflatten(2, (height, SIDE)).unflatten(0, (batches, -1))
    over = (1, 2, 4, 6)  # images, channels, rows and columns of a block
    return each.mean(dim=over).flatten(1), each.var(dim=over, correction=0).flatten(1)


def _enlarged(maps: Tensor) -> Tensor:
    rows, columns = (_enlargement(side, maps.dtype, maps.device) for side in maps.shape[-2:])
    if rows is not None:
        maps = rows @ maps
    # As products with matrices, because the gradient of interpolation has no fixed order of sums on a GPU.
    return maps if columns is None else maps @ columns.T


@lru_cache(maxsize=64)
def _enlargement(side: int, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    """(next multiple, side) matrix of linear interpolation; ``None`` where ``side`` is a multiple."""
    wanted = -(-side // SIDE) * SIDE
    if wanted == side:
        return None
    identity = torch.eye(side, dtype=dtype, device=device)
    return F.interpolate(identity[None], wanted, mode="linear")[0].T.contiguous()
