"""Standardised mean matching in fresh random networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import EmbeddingLoss, RealStatistics
from bacon.distillation.pools import Fresh

if TYPE_CHECKING:
    from standardised.record import StandardisedSettings


class StandardisedMatching(EmbeddingLoss):
    """Sum over dimensions of ``((mu_S - mu_T) / (sigma_T + epsilon))^2``."""

    needs_std: ClassVar[bool] = True

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def weights(self) -> dict[str, float]:
        """One term, weight one."""
        return {"standardised": 1.0}

    def terms(self, real: RealStatistics, synthetic: Features) -> dict[str, Tensor]:
        """``{"standardised": (K,)}``."""
        assert real.std is not None
        scaled = (synthetic.mean() - real.mean) / (real.std + self.epsilon)  # (K, D)
        return {"standardised": scaled.square().sum(dim=1)}


class Standardised(EmbeddingMatching):
    """The method: its loss, and a fresh network per iteration."""

    def __init__(self, settings: StandardisedSettings, context: Context) -> None:
        pool = Fresh(context.build, device=context.device, dtype=context.real.dtype)
        super().__init__(settings, context, loss=StandardisedMatching(settings.epsilon), pool=pool)
