"""Experts: networks trained on the real set whose weights after every epoch are kept, the trajectories of MTT. No torch."""

from __future__ import annotations

from pydantic import Field

from bacon.settings.augmentations import Dsa
from bacon.settings.base import Strict
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import SgdSettings, Sharpness, TrainingRecipe
from bacon.settings.training_need import TrainingNeed

EXPERTS = "experts"
"""Name of the training need, and purpose of the experts' draws."""


class ExpertSettings(Strict):
    """How the experts are trained (MTT's buffer: SGD without momentum, weight decay or schedule, DSA)."""

    runs: int = Field(
        100,
        ge=1,
        description="Number of experts. Fewer cost less and let the images fit their trajectories more closely.",
    )
    epochs: int = Field(50, ge=1, description="Epochs of each; the weights after every epoch are stored.")
    lr: float = Field(0.01, gt=0, description="Learning rate.")
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay.")
    batch_size: int = Field(256, ge=1, description="Real images per step.")
    sharpness: Sharpness | None = Field(
        None, description="Sharpness-aware steps: FTD's flat trajectories; null: plain steps (MTT)."
    )


def expert_need(experts: ExpertSettings, network: NetworkSettings, *, dsa_strategy: str) -> TrainingNeed:
    """The training runs: the weights before training and after every epoch are kept."""
    recipe = TrainingRecipe(
        epochs=experts.epochs,
        batch_size=experts.batch_size,
        optimiser=SgdSettings(lr=experts.lr, momentum=experts.momentum, weight_decay=experts.weight_decay),
        augmentation=Dsa(strategy=dsa_strategy),
        sharpness=experts.sharpness,
    )
    return TrainingNeed(
        name=EXPERTS,
        network=network,
        recipe=recipe,
        runs=experts.runs,
        keep=frozenset({"snapshots"}),
        purpose="expert",
    )
