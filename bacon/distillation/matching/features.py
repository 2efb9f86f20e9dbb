"""What a network says of images, as far as a matching loss reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Literal

import torch
from torch import Tensor

from bacon.distillation.matching import class_moments_gpu
from bacon.networks.network import Network

Read = Literal["stages", "embedding", "logits"]


class Features:
    """Features of images, whose places are the leading dimensions: (N,), or (K, n), n images of each of K classes.

    Args:
        embedding: (..., D) float.
        stages: (..., C', H', W') float each: maps of each stage before they are pooled, first stage first; empty where they
            are not read.
        logits: (..., classes) float; ``None`` where they are not read.

    Attributes:
        stages, logits: as given.
    """

    def __init__(self, *, embedding: Tensor, stages: tuple[Tensor, ...] = (), logits: Tensor | None = None) -> None:
        self._embedding: Tensor | None = embedding
        self.stages, self.logits = stages, logits

    @property
    def embedding(self) -> Tensor:
        """(..., D) float."""
        assert self._embedding is not None
        return self._embedding

    def each(self, change: Callable[[Tensor], Tensor]) -> Features:
        """Features whose tensors are changed alike."""
        return Features(
            embedding=change(self.embedding),
            stages=tuple(change(stage) for stage in self.stages),
            logits=None if self.logits is None else change(self.logits),
        )

    def by_class(self, count: int) -> Features:
        """Features (K, n, ...) of those of K * n images, class by class, with ``count`` = n of each."""
        return self.each(lambda tensor: tensor.unflatten(0, (-1, count)))

    def mean(self) -> Tensor:
        """(K, D) mean embedding of each class, of features (K, n, ...)."""
        return self.embedding.mean(dim=1)

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """:meth:`mean`, and unbiased standard deviations (K, D); without a gradient."""
        mean = self.mean()
        return mean, unbiased_std(self.embedding, mean)

    def classified(self, network: Network) -> Tensor:
        """Logits (K n, classes) of features (K, n, ...), by the classifier of the network that they are from."""
        return network.classify(self.embedding.flatten(0, 1))


class MapFeatures(Features):
    """Features on a GPU that are maps as they lie in memory: they are flattened only where embeddings are asked for.

    Args:
        maps: (N, C, H, W), the maps that embeddings are made of, such as ``class_moments_gpu.takes_kernels`` says.
        dtype: of embeddings.
        logits: as for :class:`Features`.
        count: n, of features (K, n, ...); ``None``: of (N, ...).
    """

    _mean: Tensor | None

    def __init__(
        self, maps: Tensor, *, dtype: torch.dtype, logits: Tensor | None = None, count: int | None = None
    ) -> None:
        self._embedding, self._mean = None, None
        self._maps, self._dtype, self._count = maps, dtype, count
        self.stages, self.logits = (), logits

    @property
    def maps(self) -> Tensor:
        """(N, C, H, W)."""
        return self._maps

    @property
    def dtype(self) -> torch.dtype:
        """Of embeddings."""
        return self._dtype

    @property
    def embedding(self) -> Tensor:
        """(..., D) float."""
        if self._embedding is None:
            flat = self._maps.flatten(1).to(self._dtype)
            self._embedding = flat if self._count is None else flat.unflatten(0, (-1, self._count))
        return self._embedding

    def each(self, change: Callable[[Tensor], Tensor]) -> Features:
        """Features whose tensors are changed alike; of maps, their first dimension only."""
        logits = None if self.logits is None else change(self.logits)
        return MapFeatures(change(self._maps), dtype=self._dtype, logits=logits)

    def by_class(self, count: int) -> Features:
        """As of any features."""
        logits = None if self.logits is None else self.logits.unflatten(0, (-1, count))
        return MapFeatures(self._maps, dtype=self._dtype, logits=logits, count=count)

    def mean(self) -> Tensor:
        """As of any features, by one kernel each way."""
        if self._mean is None:
            self._mean, self._maps = class_moments_gpu.means(self._maps, self._classes())
        return self._mean

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """As of any features, by one kernel."""
        mean, std = class_moments_gpu.moments(self._maps.detach(), self._classes(), std=True)
        assert std is not None
        return mean, std

    def classified(self, network: Network) -> Tensor:
        """As of any features."""
        return network.classify_maps(self._maps, self._dtype)

    def _classes(self) -> int:
        assert self._count is not None, "features are not by class"
        return len(self._maps) // self._count


def joined(pieces: Sequence[Features]) -> Features:
    """Features (N, ...) of the images of several pieces, without stages, as one."""
    if len(pieces) == 1:
        return pieces[0]
    given = [piece.logits for piece in pieces if piece.logits is not None]
    logits = torch.cat(given) if given else None
    of_maps = [piece for piece in pieces if isinstance(piece, MapFeatures)]
    if len(of_maps) == len(pieces):
        return MapFeatures(torch.cat([piece.maps for piece in of_maps]), dtype=of_maps[0].dtype, logits=logits)
    return Features(embedding=torch.cat([piece.embedding for piece in pieces]), logits=logits)


def features_of(network: Network, images: Tensor, reads: Set[Read]) -> Features:
    """Features of images (N, C, H, W) float; the network's fast form is used where no stages are read."""
    if "stages" in reads:
        stages, embedding = network.embed_with_stages(images)
        logits = network.classify(embedding) if "logits" in reads else None
        return Features(embedding=embedding, stages=stages, logits=logits)
    maps = network.embedded_maps(images)
    if class_moments_gpu.takes_kernels(maps, images.dtype):
        logits = network.classify_maps(maps, images.dtype) if "logits" in reads else None
        return MapFeatures(maps, dtype=images.dtype, logits=logits)
    embedding = maps.flatten(1).to(images.dtype)
    return Features(embedding=embedding, logits=network.classify(embedding) if "logits" in reads else None)


def unbiased_std(x: Tensor, mean: Tensor) -> Tensor:
    """Unbiased standard deviation (K, D) over the batches of ``x`` (K, B, D) with means (K, D).

    In two passes of whole rows, which is many times as fast as ``x.std(dim=1)`` on a CPU.
    """
    squares = (x - mean[:, None]).square_().sum(dim=1)
    return squares.div_(x.shape[1] - 1).sqrt_()
