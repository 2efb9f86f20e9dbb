"""The squared distance of mean embeddings, which DM and IDM match."""

from __future__ import annotations

from torch import Tensor

from bacon.distillation.matching.matching_losses import MatchingLoss, RealStatistics


class MeanMatching(MatchingLoss):
    """Squared distance of mean embeddings, ``||mu_T - mu_S||^2`` (DM, equation 4; also the matching term of IDM)."""

    def weights(self) -> dict[str, float]:
        """One term, weight one."""
        return {"mean": 1.0}

    def terms(self, real: RealStatistics, synthetic: Tensor) -> dict[str, Tensor]:
        """``{"mean": (K,)}``, the squared Euclidean distance per class."""
        return {"mean": (real.mean - synthetic.mean(dim=1)).square().sum(dim=1)}
