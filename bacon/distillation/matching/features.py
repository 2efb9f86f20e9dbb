"""What a network says of images, as far as a matching loss reads it."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bacon.networks.network import Network

Read = Literal["stages", "embedding", "logits"]


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features of images, whose places are the leading dimensions: (N,), or (K, n), n images of each of K classes.

    Attributes:
        embedding: (..., D) float.
        stages: (..., C', H', W') float each: maps of each stage before they are pooled, first stage first; empty where they
            are not read.
        logits: (..., classes) float; ``None`` where they are not read.
    """

    embedding: Tensor
    stages: tuple[Tensor, ...] = ()
    logits: Tensor | None = None

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


def features_of(network: Network, images: Tensor, reads: Set[Read]) -> Features:
    """Features of images (N, C, H, W) float; the network's fast form is used where no stages are read."""
    stages: tuple[Tensor, ...] = ()
    if "stages" in reads:
        stages, embedding = network.embed_with_stages(images)
    else:
        embedding = network.embed(images)
    return Features(
        embedding=embedding, stages=stages, logits=network.classify(embedding) if "logits" in reads else None
    )
