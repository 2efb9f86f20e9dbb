"""BACON, Bayesian optimal condensation (arXiv 2406.01112): LLH + lambda TV + (1 - lambda) CLIP with IDM's networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.idm.record import PUBLISHED as OF_IDM
from bacon.methods.idm.record import SCALES, published
from bacon.methods.matching_work import matching_work
from bacon.settings.base import Strict
from bacon.settings.distillation import MatchingSettings
from bacon.settings.pools import QueueOrFresh, WeightedQueue


class BaconObjective(Strict):
    """``LLH + lambda * TV + (1 - lambda) * CLIP`` (docs/algorithms.md gives each term)."""

    kind: Literal["bacon"] = "bacon"
    lambda_: float = Field(
        0.8, ge=0, le=1, alias="lambda", description="Weight of TV; CLIP has weight 1 - lambda (paper: 0.8)."
    )
    clip: Literal["published_code", "per_dimension"] = Field(
        "published_code",
        description="CLIP as the published code computes it (identically zero) or per dimension as the paper describes it.",
    )


class BaconSettings(MatchingSettings):
    """Settings of BACON."""

    objective: BaconObjective = Field(BaconObjective(), description="The matching loss.")
    networks: QueueOrFresh = Field(WeightedQueue(), description="Where the embedding networks come from.")


# The published commands: IDM's, with more steps of the networks in two cells, and none for TinyImageNet with IPC 50.
PUBLISHED = {cell: settings for cell, settings in OF_IDM.items() if cell != ("tinyimagenet", 50)} | {
    ("cifar100", 50): published(256, 0.1, 30, 50, 500),
    ("tinyimagenet", 10): published(256, 0.5, 30, 50, 500),
}

BACON = Method(
    name="bacon",
    title="BACON",
    summary="IDM with a Bayesian matching loss (likelihood, total variation, clipping).",
    reference="Zhou et al., BACON: Bayesian Optimal Condensation Framework for Dataset Distillation, arXiv 2406.01112",
    settings_model=BaconSettings,
    algorithm="bacon.methods.bacon.algorithm:Bacon",
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
    scales=SCALES,
    published=PUBLISHED,
    cost=matching_work,
    figure_place=3,
    term_titles={"llh": "LLH (nats)", "tv": "TV", "clip": "CLIP", "ce": "Cross-entropy (nats)"},
)
