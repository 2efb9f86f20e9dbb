"""BACON, Bayesian optimal condensation (arXiv 2406.01112): LLH + lambda TV + (1 - lambda) CLIP in IDM's engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bacon.methods.base import Method, Objective, RealStatistics

if TYPE_CHECKING:
    from torch import Tensor


class BaconMatching(Objective):
    """``LLH + lambda * TV + (1 - lambda) * CLIP`` (docs/algorithms.md gives each term)."""

    kind: Literal["bacon"] = "bacon"
    lambda_: float = Field(
        0.8, ge=0, le=1, alias="lambda", description="Weight of TV; CLIP has weight 1 - lambda (paper: 0.8)."
    )
    clip: Literal["published_code", "per_dimension"] = Field(
        "published_code",
        description="CLIP as the published code computes it (identically zero) or per dimension as the paper describes it.",
    )
    needs_std: ClassVar[bool] = True

    def weights(self) -> dict[str, float]:
        """``llh`` 1, ``tv`` lambda, ``clip`` 1 - lambda."""
        return {"llh": 1.0, "tv": self.lambda_, "clip": 1.0 - self.lambda_}

    def terms(self, real: RealStatistics, synthetic_mean: Tensor) -> dict[str, Tensor]:
        """``{"llh", "tv", "clip"}``, each (C,); finite for every finite input with finite ``exp(-2 std)``."""
        assert real.std is not None, "BACON needs the standard deviation of the real batch"
        difference = synthetic_mean - real.mean  # (C, D)
        return {
            "llh": gaussian_negative_log_likelihood(difference, real.std),
            "tv": 0.5 * difference.abs().sum(dim=1),
            "clip": self._clip(difference, real.std),
        }

    def _clip(self, difference: Tensor, std: Tensor) -> Tensor:
        if self.clip == "published_code":
            # Published code compares softmax(mu) averaged over d, which is 1/D on both sides: zero, without gradient.
            return difference.detach().new_zeros(difference.shape[0])
        # A dimension in which the real batch is constant has no scale: it takes no part.
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


BACON = Method(
    name="bacon",
    title="BACON",
    family="matching",
    summary="Bayesian matching (likelihood, total variation, clipping) in IDM's engine.",
    reference="Zhou et al., BACON: Bayesian Optimal Condensation Framework for Dataset Distillation, arXiv 2406.01112",
    settings={
        "distillation": {
            "objective": {"kind": "bacon"},
            "networks": {"source": "queue"},
            "partition": 2,
            "update": "per_class",
            "lr_img": 0.2,
            "momentum": 0.5,
        }
    },
    figure_place=3,
    term_titles={"llh": "LLH (nats)", "tv": "TV", "clip": "CLIP", "ce": "Cross-entropy (nats)"},
)
