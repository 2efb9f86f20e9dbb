"""DM, distribution matching (Zhao and Bilen, WACV 2023): match mean embeddings in fresh random networks."""

from __future__ import annotations

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.matching_work import matching_work
from bacon.settings.distillation import MatchingSettings, MeanObjective
from bacon.settings.pools import FreshNetworks, QueueOrFresh


class DMSettings(MatchingSettings):
    """Settings of DM."""

    objective: MeanObjective = Field(MeanObjective(), description="The matching loss.")
    networks: QueueOrFresh = Field(FreshNetworks(), description="Where the embedding networks come from.")


DM = Method(
    name="dm",
    title="DM",
    summary="Matches the mean embeddings of real and synthetic images in a new random network per iteration.",
    reference="Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023",
    settings_model=DMSettings,
    algorithm="bacon.methods.dm.algorithm:DM",
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
    scales={
        "demo": {"distillation": {"iterations": 150, "snapshot_interval": 50, "batch_real": 64}},
        "smoke": {"distillation": {"iterations": 4, "snapshot_interval": 2, "batch_real": 16}},
    },
    cost=matching_work,
    figure_place=1,
    term_titles={"mean": "Mean matching"},
)
