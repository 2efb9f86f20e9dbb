"""DataDAM (Sajedi et al., ICCV 2023): match spatial attention maps of every stage but the last, and mean embeddings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.matching_work import image_work
from bacon.settings.distillation import MatchingSettings


class DataDAMSettings(MatchingSettings):
    """Settings of DataDAM; the defaults are those of the published code."""

    batch_real: int = Field(64, ge=2, description="Real images per class and iteration (at most all of them).")
    update: Literal["joint"] = Field("joint", description="One momentum step per iteration.")
    lr_img: float = Field(
        1.0, gt=0, description="Learning rate of the synthetic images (published: 1; 10 above IPC 50)."
    )
    exponent: float = Field(
        1.0, ge=1, le=8, description="p of the attention maps, sum over channels of |F|^p (code: 1; paper: 4)."
    )
    attention_weight: float = Field(100.0, ge=0, description="Weight of the attention maps' distance.")
    lambda_: float = Field(
        0.01,
        ge=0,
        alias="lambda",
        description="Weight of the mean embeddings' distance, relative to that of the attention maps (paper: 0.01; 0.02 for "
        "images above 64 pixels).",
    )
    norm: Literal["batch", "instance"] = Field(
        "batch",
        description="Norm of the networks it distils with, whatever network.norm is (code: batch, of the batch at hand; paper: "
        "instance). Evaluation uses network.norm.",
    )


DATADAM = Method(
    name="datadam",
    title="DataDAM",
    summary="Matches spatial attention maps and mean embeddings in a new random network per iteration.",
    reference="Sajedi et al., DataDAM: Efficient Dataset Distillation with Attention Matching, ICCV 2023",
    settings_model=DataDAMSettings,
    algorithm="bacon.methods.datadam.algorithm:DataDAM",
    scales={
        "demo": {"distillation": {"iterations": 300, "snapshot_interval": 100, "batch_real": 64}},
        "smoke": {"distillation": {"iterations": 4, "snapshot_interval": 2, "batch_real": 16}},
    },
    protocol="p-dam",
    cost=image_work,
    figure_place=20,
    term_titles={"attention": "Attention matching", "embedding": "Mean matching"},
)
