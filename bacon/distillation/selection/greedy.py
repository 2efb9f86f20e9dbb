"""Choosing rows of a feature matrix one after the other: herding and greedy K-Center."""

from __future__ import annotations

import torch
from torch import Tensor

_ENTRIES_AT_ONCE = 2**24
"""Differences held at a time, 64 MiB in float32."""


def squared_distances(features: Tensor, point: Tensor) -> Tensor:
    """(N,) squared Euclidean distances of rows (N, D) to a point (D,), from differences, so that close ones do not cancel."""
    rows = max(1, _ENTRIES_AT_ONCE // features.shape[1])
    return torch.cat([(some - point).square().sum(dim=1) for some in features.split(rows)])


def nearest_to_mean(features: Tensor) -> Tensor:
    """0-d int64: the row of ``features`` (N, D) nearest their mean, the first choice of herding."""
    return squared_distances(features, features.mean(dim=0)).argmin()


def herding(features: Tensor, count: int) -> Tensor:
    """Rows whose sum follows the mean (Welling, 2009), as DC's authors choose them.

    Step k (from 0) takes the row x not yet taken with the smallest ``||(k + 1) mean - sum of those taken - x||``.

    Args:
        features: (N, D) float, of one class.
        count: how many, at most N.

    Returns:
        (count,) int64, distinct, in the order of choice.
    """
    mean = features.mean(dim=0)
    total = torch.zeros_like(mean)
    taken = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    chosen = []
    for step in range(count):
        distances = squared_distances(features, (step + 1) * mean - total)
        place = distances.masked_fill_(taken, torch.inf).argmin()
        taken.index_fill_(0, place, True)
        total = total + features.index_select(0, place[None])[0]
        chosen.append(place)
    return torch.stack(chosen)


def k_center(features: Tensor, count: int, *, first: Tensor) -> Tensor:
    """Rows that leave no row far from the nearest of them: the greedy 2-approximation (Sener and Savarese, 2018).

    Each further row is the one whose distance to the nearest row taken is largest.

    Args:
        features: (N, D) float, of one class.
        count: how many, at most N.
        first: 0-d int64, the first row.

    Returns:
        (count,) int64, distinct, in the order of choice.
    """
    nearest = torch.full_like(features[:, 0], torch.inf)
    taken = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    chosen, place = [], first
    for _ in range(count):
        chosen.append(place)
        taken.index_fill_(0, place, True)
        nearest = torch.minimum(nearest, squared_distances(features, features.index_select(0, place[None])[0]))
        # Where only copies of taken rows are left, all distances are 0: a taken one must not come again.
        place = nearest.masked_fill(taken, -1.0).argmax()
    return torch.stack(chosen)
