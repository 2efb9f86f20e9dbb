"""DM, distribution matching (Zhao and Bilen, WACV 2023): match mean embeddings in fresh random networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bacon.methods.base import Method, Objective, RealStatistics

if TYPE_CHECKING:
    from torch import Tensor


class MeanMatching(Objective):
    """Squared distance of mean embeddings, ``||mu_T - mu_S||^2`` (DM; also the matching term of IDM)."""

    kind: Literal["mean"] = "mean"

    def weights(self) -> dict[str, float]:
        """One term, weight one."""
        return {"mean": 1.0}

    def terms(self, real: RealStatistics, synthetic_mean: Tensor) -> dict[str, Tensor]:
        """``{"mean": (C,)}``, the squared Euclidean distance per class."""
        return {"mean": (real.mean - synthetic_mean).square().sum(dim=1)}


DM = Method(
    name="dm",
    title="DM",
    family="matching",
    summary="Matches mean embeddings of real and synthetic images in a fresh random network per iteration.",
    reference="Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023",
    settings={
        "distillation": {
            "objective": {"kind": "mean"},
            "networks": {"source": "fresh"},
            "partition": 1,
            "update": "joint",
            "lr_img": 1.0,
            "momentum": 0.5,
        }
    },
    figure_place=1,
    term_titles={"mean": "Mean matching"},
)
