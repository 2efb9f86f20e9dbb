"""Settings of DANCE and of methods that follow it, and the networks that they need. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from bacon.settings.augmentations import IDC_OPERATIONS, Idc
from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import ImageMatchingSettings
from bacon.settings.dsa_strategy import check_strategy
from bacon.settings.pools import TrainedNetworks
from bacon.settings.recipe import CutMix, MultiStep, SgdSettings, TrainingRecipe
from bacon.settings.training_need import TrainingNeed

ENDPOINTS = "endpoints"
"""Name of the need: networks before and after their training."""


class CalibratedSettings(ImageMatchingSettings):
    """Settings of matching between trained and untrained networks, with a calibration step (docs/algorithms.md, DANCE)."""

    partition: int = Field(
        2,
        ge=1,
        le=8,
        description="Each stored image holds partition^2 down-scaled images (docs/algorithms.md, Partition).",
    )
    resize: Literal["nearest", "bilinear"] = Field(
        "nearest", description="How the first images are made smaller for the partition (published code: nearest)."
    )
    batch_synthetic: int | None = Field(
        None, ge=1, description="Decoded synthetic images per class and step, at random; null: all of them."
    )
    idc_strategy: str = Field(
        "color_crop_cutout", description="IDC operations joined by _; one draw for all images of a class."
    )
    calibration_weight: float = Field(
        1.0,
        ge=0,
        description="Weight of the cross-entropy in the trained network, which takes a step of its own; 0: no such step.",
    )
    networks: TrainedNetworks = Field(TrainedNetworks(), description="The networks trained on the real set.")

    @field_validator("idc_strategy")
    @classmethod
    def _check_idc(cls, value: str) -> str:
        return check_strategy(value, IDC_OPERATIONS, "IDC")


def endpoints(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """The networks of the pool, before and after their training (docs/algorithms.md, DANCE)."""
    own = settings.distillation
    assert isinstance(own, CalibratedSettings)
    recipe = TrainingRecipe(
        epochs=own.networks.epochs,
        batch_size=128,
        optimiser=SgdSettings(lr=0.01, momentum=0.9, weight_decay=5e-4),
        schedule=MultiStep(milestones=(2 / 3, 5 / 6), factor=0.2),
        augmentation=Idc(strategy="color_crop"),
        mixing=CutMix(beta=1.0, probability=0.5),
    )
    need = TrainingNeed(
        name=ENDPOINTS,
        network=settings.network,
        recipe=recipe,
        runs=own.networks.runs,
        keep=frozenset({"snapshots"}),
        snapshot_every=own.networks.epochs,
    )
    return (need,)
