"""The squared distance of mean embeddings, which DM and IDM match."""

from __future__ import annotations

from torch import Tensor

from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import EmbeddingLoss, RealStatistics


class MeanMatching(EmbeddingLoss):
    """Squared distance of mean embeddings, ``||mu_T - mu_S||^2`` (DM, equation 4; also the matching term of IDM)."""

    def weights(self) -> dict[str, float]:
        """One term, weight one."""
        return {"mean": 1.0}

    def terms(self, real: RealStatistics, synthetic: Features) -> dict[str, Tensor]:
        """``{"mean": (K,)}``, the squared Euclidean distance per class."""
        return {"mean": (real.mean - synthetic.mean()).square().sum(dim=1)}
