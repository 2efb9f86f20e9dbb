"""DataDAM's loss: distances of mean attention maps, and of mean embeddings (docs/algorithms.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.features import Features, Read
from bacon.distillation.matching.matching_losses import ClassMeans, MatchingLoss, RealPiece
from bacon.distillation.pools import Fresh
from bacon.settings.network import NetworkSettings

if TYPE_CHECKING:
    from bacon.methods.datadam.record import DataDAMSettings


@dataclass(frozen=True, kw_only=True)
class MeanAttention:
    """What is matched of each class.

    Attributes:
        maps: (K, H'W') float of each stage but the last: mean over the images of their attention maps.
        embedding: (K, D) float, mean embedding.
    """

    maps: tuple[Tensor, ...]
    embedding: Tensor


class AttentionMatching(MatchingLoss[MeanAttention]):
    """``w (sum_l ||mean_T A_l - mean_S A_l||^2 + lambda ||mean_T e - mean_S e||^2)`` of each class.

    Args:
        exponent: p of the attention maps.
        weight: w.
        ratio: lambda.
    """

    reads: ClassVar[frozenset[Read]] = frozenset({"stages", "embedding"})

    def __init__(self, *, exponent: float, weight: float, ratio: float) -> None:
        self.exponent, self.weight, self.ratio = exponent, weight, ratio

    def reduce(self, real: Iterable[RealPiece], classes: int) -> MeanAttention:
        """Mean attention maps and embeddings of the real images."""
        means: list[ClassMeans] = []
        for piece in real:
            parts = [*self._maps(piece.features), piece.features.embedding]
            means = means or [ClassMeans(classes) for _ in parts]
            for mean, part in zip(means, parts, strict=True):
                mean.add(piece.places, part)
        *maps, embedding = (mean.means() for mean in means)
        return MeanAttention(maps=tuple(maps), embedding=embedding)

    def _maps(self, features: Features) -> list[Tensor]:
        return [attention(stage, self.exponent) for stage in features.stages[:-1]]

    def weights(self) -> dict[str, float]:
        """``attention`` w, ``embedding`` w lambda."""
        return {"attention": self.weight, "embedding": self.weight * self.ratio}

    def terms(self, real: MeanAttention, synthetic: Features) -> dict[str, Tensor]:
        """``{"attention", "embedding"}``, each (K,)."""
        maps = zip(real.maps, self._maps(synthetic), strict=True)
        distances = [(own.mean(dim=1) - mean).square().sum(dim=1) for mean, own in maps]
        embedding = (synthetic.embedding.mean(dim=1) - real.embedding).square().sum(dim=1)
        return {"attention": sum(distances, start=embedding.new_zeros(len(embedding))), "embedding": embedding}


def attention(maps: Tensor, exponent: float) -> Tensor:
    """Spatial attention A (DataDAM): the sum over channels of ``|F|^p``, flattened, of unit Euclidean norm.

    Args:
        maps: (..., C, H, W) float.
        exponent: p.

    Returns:
        (..., HW) float; zeros where the maps are.
    """
    strength = maps.abs()
    if exponent != 1:
        strength = strength.pow(exponent)
    return F.normalize(strength.sum(dim=-3).flatten(-2), dim=-1)


class DataDAM(EmbeddingMatching):
    """Attention matching in fresh networks; with batch norm these normalise by the batch at hand."""

    recordable: ClassVar[bool] = True

    def __init__(self, settings: DataDAMSettings, context: Context) -> None:
        network = NetworkSettings.model_validate(context.network.model_dump() | {"norm": settings.norm})
        context = replace(context, network=network)
        batch_norm = settings.norm == "batch"
        pool = Fresh(context.build, device=context.device, dtype=context.real.dtype, training=batch_norm)
        loss = AttentionMatching(exponent=settings.exponent, weight=settings.attention_weight, ratio=settings.lambda_)
        super().__init__(settings, context, loss=loss, pool=pool)
