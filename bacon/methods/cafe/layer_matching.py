"""CAFE's loss: features of all stages are matched, and real images are told apart by the synthetic class centres."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.matching.features import Features, Read
from bacon.distillation.matching.matching_losses import ClassMeans, MatchingLoss, RealPiece

if TYPE_CHECKING:
    from bacon.methods.cafe.record import CafeSettings


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """What is matched of the real images of all C classes.

    Attributes:
        stages: (C, C', H', W') float each: mean maps of each stage.
        centres: (C, D) float, mean embeddings.
        embeddings: (B, D) float of each class: the embeddings themselves.
    """

    stages: tuple[Tensor, ...]
    centres: Tensor
    embeddings: tuple[Tensor, ...]


class LayerMatching(MatchingLoss[LayerStatistics]):
    """Feature alignment and discrimination of CAFE (docs/algorithms.md).

    Args:
        settings: the weights.
    """

    reads: ClassVar[frozenset[Read]] = frozenset({"stages", "embedding"})
    couples_classes: ClassVar[bool] = True

    def __init__(self, settings: CafeSettings) -> None:
        self.settings = settings

    def reduce(self, real: Iterable[RealPiece], classes: int) -> LayerStatistics:
        """Mean maps and embeddings of each class, and all embeddings."""
        means: list[ClassMeans] = []
        embeddings: list[list[Tensor]] = [[] for _ in range(classes)]
        for piece in real:
            parts = [*piece.features.stages, piece.features.embedding]
            means = means or [ClassMeans(classes) for _ in parts]
            for mean, part in zip(means, parts, strict=True):
                mean.add(piece.places, part)
            places = range(*piece.places.indices(classes))
            for place, embedding in zip(places, piece.features.embedding, strict=True):
                embeddings[place].append(embedding)
        *stages, centres = (mean.means() for mean in means)
        return LayerStatistics(stages=tuple(stages), centres=centres, embeddings=tuple(map(torch.cat, embeddings)))

    def weights(self) -> dict[str, float]:
        """``features`` and ``centres`` 1, ``discrimination`` as set."""
        return {"features": 1.0, "centres": 1.0, "discrimination": self.settings.discrimination_weight}

    def terms(self, real: LayerStatistics, synthetic: Features) -> dict[str, Tensor]:
        """``{"features", "centres", "discrimination"}``, each (C,)."""
        centres = synthetic.embedding.mean(dim=1)
        distance = (real.centres - centres).square().sum(dim=1)
        # The pooled maps of the last stage are the embedding.
        features = self.settings.last_weight * distance
        weights = [self.settings.stage_weight] * (len(real.stages) - 1) + [self.settings.last_weight]
        for weight, there, here in zip(weights, real.stages, synthetic.stages, strict=True):
            features = features + weight * (there - here.mean(dim=1)).square().flatten(1).sum(dim=1)
        return {"features": features, "centres": distance, "discrimination": discrimination(real.embeddings, centres)}


def discrimination(embeddings: tuple[Tensor, ...], centres: Tensor) -> Tensor:
    """Cross-entropy of real embeddings (B, D) of each of C classes, classified by inner products with ``centres`` (C, D).

    Returns:
        (C,) float, the sum over the images of each class.
    """
    sizes = [len(embedding) for embedding in embeddings]
    losses = -F.log_softmax(torch.cat(embeddings) @ centres.T, dim=1)  # (N, C)
    return torch.stack([own[:, place].sum() for place, own in enumerate(losses.split(sizes))])
