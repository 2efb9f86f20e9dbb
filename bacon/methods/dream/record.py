"""DREAM, representative matching (Liu et al., ICCV 2023): IDC with real images that stand for the clusters of their class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.idc.record import (
    DEMO,
    SMALL_CELLS,
    SMOKE,
    IDCSettings,
    RealTrainingSettings,
    idc_work,
    published_settings,
)


class DREAMTrainingSettings(RealTrainingSettings):
    """How an iteration's network learns from real images: in batches as large as the real batch of a class."""

    batch: int = Field(128, ge=1, description="Real images per SGD step; a pass takes whole batches.")


class DREAMSettings(IDCSettings):
    """Settings of DREAM."""

    init: Literal["real", "noise", "clusters"] = Field(
        "clusters",
        description="Initial synthetic images: random real images, N(0, 1), or those nearest to k-means centroids.",
    )
    sampling: Literal["random", "clusters"] = Field(
        "clusters", description="Real images of a step: random ones, or those nearest to k-means centroids."
    )
    batch_real: int = Field(
        128, ge=1, description="Real images per class and step, the number of clusters (at most all images)."
    )
    networks: DREAMTrainingSettings = Field(
        DREAMTrainingSettings(), description="How the networks learn from real images."
    )


_CELLS = (*SMALL_CELLS, *(("cifar100", ipc) for ipc in (1, 10, 50)))
_TINY = {"batch_real": 64, "networks": {"images": 1000, "batch": 64}}
_DEMO = {**DEMO, "networks": {**DEMO["networks"], "batch": DEMO["batch_real"]}}

DREAM = Method(
    name="dream",
    title="DREAM",
    summary="IDC with real images that are nearest to the centroids of their class in the network's embedding.",
    reference="Liu et al., DREAM: Efficient Dataset Distillation by Representative Matching, ICCV 2023",
    settings_model=DREAMSettings,
    algorithm="bacon.methods.dream.algorithm:DREAM",
    scales={
        "demo": {"distillation": _DEMO},
        "smoke": {"distillation": {**SMOKE, "batch_real": 6, "cluster_steps": 3}},
    },
    published=published_settings(_CELLS)
    | {
        ("tinyimagenet", 1): {"network": {"depth": 4}, "distillation": _TINY},
        ("tinyimagenet", 10): {"network": {"depth": 4}, "distillation": _TINY},
        ("tinyimagenet", 50): {"network": {"depth": 4}, "distillation": {**_TINY, "lr_img": 1e-6}},
    },
    protocol="p-idc",
    cost=idc_work,
    figure_place=28,
    term_titles={"distance": "Gradient distance"},
)
