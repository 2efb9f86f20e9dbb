"""Real images that stand for their class: those nearest to the centroids of k-means (DREAM, Liu et al., ICCV 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.real_images import draw_without_replacement
from bacon.networks.network import Network

# The two members of a pair are equally far from their centroid, so rounding would choose: of distances that differ by less than
# this share of the points' mean square, the first counts.
_TIE = 1e-5


def nearest_to_centroids(points: Tensor, first: Tensor, *, steps: int) -> Tensor:
    """K-means (Lloyd) from given points, and the point that is nearest to each centroid, of equal ones the first.

    A centroid whose cluster has become empty stays where it is. Two centroids may have the same nearest point.

    Args:
        points: (n, D) float.
        first: (k,) int64, the points that are the first centroids.
        steps: how often the centroids move.

    Returns:
        (k,) int64, indices of points.
    """
    points = points - points.mean(dim=0)  # smaller numbers, smaller rounding
    centroids = points.index_select(0, first)
    for _ in range(steps):
        members = _membership(_squared_distances(points, centroids))
        sizes = members.sum(dim=0)[:, None]  # (k, 1)
        centroids = torch.where(sizes > 0, members.T @ points / sizes.clamp(min=1), centroids)
    distances = _squared_distances(points, centroids)
    equal = distances <= distances.amin(dim=0) + _TIE * points.square().sum(dim=1).mean()
    return equal.to(torch.uint8).argmax(dim=0)


def _squared_distances(points: Tensor, centroids: Tensor) -> Tensor:
    """(n, k) squared Euclidean distances."""
    squares = points.square().sum(dim=1)[:, None] + centroids.square().sum(dim=1)
    return torch.addmm(squares, points, centroids.T, alpha=-2)


def _membership(distances: Tensor) -> Tensor:
    """(n, k): 1 where centroid k is the nearest one to point n, else 0."""
    return F.one_hot(distances.argmin(dim=1), distances.shape[1]).to(distances.dtype)


class Representatives:
    """Chooses images of each class in the embedding of a network.

    Args:
        context: real images, seed, memory.
        steps: of k-means.
    """

    def __init__(self, context: Context, *, steps: int) -> None:
        self._context, self._real, self._steps = context, context.real, steps

    @torch.no_grad()
    def choose(self, network: Network, size: int, purpose: str, occasion: int) -> list[Tensor]:
        """Indices of at most ``size`` images of each class: per class (min(size, its images),) int64.

        Args:
            network: is set to evaluation mode.
            size: number of clusters.
            purpose: name of the stream that draws the first centroids.
            occasion: number of the choice in the stream.
        """
        network.eval()
        chosen, start = [], 0
        for label, count in enumerate(self._real.counts):
            chosen.append(start + self._of_class(network, label, start, min(size, count), purpose, occasion))
            start += count
        return chosen

    def _of_class(self, network: Network, label: int, start: int, size: int, purpose: str, occasion: int) -> Tensor:
        count, device = self._real.counts[label], self._real.device
        places = torch.arange(count, device=device)
        if size == count:
            return places
        limit = self._context.memory.images(self._real.shape)
        points = torch.cat([network.embed(self._real.batch(start + some)) for some in places.split(limit)])
        lanes = self._real.index((label,))
        (first,) = draw_without_replacement(
            self._context.seed,
            purpose,
            iteration=occasion,
            lanes=lanes,
            populations=torch.full_like(lanes, count),
            largest=count,
            size=size,
        )
        return nearest_to_centroids(points, first, steps=self._steps)
