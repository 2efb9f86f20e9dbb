"""BACON's loss: the likelihood, total variation and clipping terms of docs/algorithms.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import EmbeddingLoss, RealStatistics
from bacon.distillation.matching.weighted_cross_entropy import pool_and_terms

if TYPE_CHECKING:
    from bacon.methods.bacon.record import BaconObjective, BaconSettings


class Bacon(EmbeddingMatching):
    """Bayesian matching with IDM's queue and cross-entropy."""

    recordable: ClassVar[bool] = True

    def __init__(self, settings: BaconSettings, context: Context) -> None:
        pool, terms = pool_and_terms(settings, settings.networks, context)
        super().__init__(settings, context, loss=BaconMatching(settings.objective), pool=pool, extra=terms)


class BaconMatching(EmbeddingLoss):
    """``LLH + lambda * TV + (1 - lambda) * CLIP``."""

    needs_std: ClassVar[bool] = True

    def __init__(self, settings: BaconObjective) -> None:
        self.settings = settings

    def weights(self) -> dict[str, float]:
        """``llh`` 1, ``tv`` lambda, ``clip`` 1 - lambda."""
        return {"llh": 1.0, "tv": self.settings.lambda_, "clip": 1.0 - self.settings.lambda_}

    def terms(self, real: RealStatistics, synthetic: Features) -> dict[str, Tensor]:
        """``{"llh", "tv", "clip"}``, each (K,); finite for every finite input with finite ``exp(-2 std)``."""
        assert real.std is not None, "BACON needs the standard deviation of the real batch"
        difference = synthetic.mean() - real.mean  # (K, D)
        return {
            "llh": gaussian_negative_log_likelihood(difference, real.std),
            "tv": 0.5 * difference.abs().sum(dim=1),
            "clip": self._clip(difference, real.std),
        }

    def _clip(self, difference: Tensor, std: Tensor) -> Tensor:
        if self.settings.clip == "published_code":
            # Published code compares softmax(mu) averaged over d, which is 1/D on both sides: zero, without gradient.
            return difference.detach().new_zeros(difference.shape[0])
        # A dimension in which the real batch is constant has no scale: it is not used.
        scaled = difference / std.where(std > 0, std.new_ones(())) * (std > 0)
        return (scaled - scaled.clamp(0, 1)).square().mean(dim=1)


def gaussian_negative_log_likelihood(difference: Tensor, log_sigma: Tensor) -> Tensor:
    """LLH: -log N(mu_S; mu_T, exp(sigma_T)^2) summed over dimensions, in closed form (docs/algorithms.md).

    Args:
        difference: (C, D) float, mu_S - mu_T.
        log_sigma: (C, D) float, the log standard deviation of the Gaussian; BACON uses sigma_T itself here.

    Returns:
        (C,) float. The closed form does not underflow where ``log(pdf)`` would be ``log(0)``.
    """
    scaled = difference * (-log_sigma).exp()
    return (0.5 * scaled.square() + log_sigma + 0.5 * math.log(2 * math.pi)).sum(dim=1)
