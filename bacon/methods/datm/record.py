"""DATM, difficulty-aligned trajectory matching (Guo et al., ICLR 2024), on flat trajectories (FTD, Du et al., CVPR 2023)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bacon.methods.base import Method
from bacon.methods.trajectory_work import experts_needed, trajectory_work
from bacon.settings.experts import ExpertSettings
from bacon.settings.recipe import Sharpness
from bacon.settings.trajectories import TrajectorySettings

FTD = Sharpness(rho=0.01, adaptive=True, gap=0.3)
"""How DATM's experts are trained: adaptive sharpness-aware steps with the surrogate gap, rho 0.01 and alpha 0.3."""


class FlatExperts(ExpertSettings):
    """How DATM's experts are trained: as MTT's, for longer, with sharpness-aware steps (FTD)."""

    epochs: int = Field(100, ge=1, description="Epochs of each; the weights after every epoch are stored.")
    sharpness: Sharpness | None = Field(FTD, description="Sharpness-aware steps; null: plain steps.")


class DATMSettings(TrajectorySettings):
    """Settings of DATM."""

    iterations: int = Field(10000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        1000,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    experts: FlatExperts = Field(FlatExperts(), description="Networks trained on the real set to be matched.")
    init: Literal["correct", "real"] = Field(
        "correct",
        description="Initial synthetic images: random real images that an expert classifies correctly, or any real images.",
    )
    student_steps: int = Field(80, ge=1, description="N: steps on the synthetic images in each iteration.")
    min_start_epoch: int = Field(0, ge=0, description="T-: the first start epoch; later ones are harder.")
    current_max_start_epoch: int | None = Field(
        None,
        ge=1,
        description="The upper end of the start epochs at iteration 0, from which it grows to T+ (`max_start_epoch`); null: T+ "
        "from the beginning.",
    )
    expansion_end: int = Field(1000, ge=1, description="Iteration from which on the upper end is T+.")
    lr_label: float = Field(2.0, ge=0, description="Learning rate of the soft labels; 0: they are not learned.")
    momentum_label: float = Field(0.9, ge=0, lt=1, description="Momentum of the soft labels.")
    threshold: float | None = Field(
        1.0, gt=0, description="An iteration whose distance is above it changes nothing; null: each does."
    )

    @model_validator(mode="after")
    def _start_epochs_ascend(self) -> DATMSettings:
        first = self.current_max_start_epoch or self.max_start_epoch
        if not self.min_start_epoch < first <= self.max_start_epoch:
            raise ValueError(
                f"start epochs: `min_start_epoch` {self.min_start_epoch} must be below `current_max_start_epoch` {first}, and "
                f"that at most `max_start_epoch` {self.max_start_epoch}"
            )
        return self


def _published(
    steps: int,
    start: tuple[int, int | None, int],
    expansion: int | None = None,
    *,
    lr_img: float,
    lr_label: float,
    lr_lr: float = 1e-5,
    batch_syn: int = 1000,
    epochs: int = 2,
    **other: Any,
) -> dict[str, Any]:
    """``start`` is T-, the first upper end, and T+."""
    own = {
        "student_steps": steps,
        "expert_epochs": epochs,
        "min_start_epoch": start[0],
        "current_max_start_epoch": start[1],
        "max_start_epoch": start[2],
        "lr_img": lr_img,
        "lr_label": lr_label,
        "lr_lr": lr_lr,
        "batch_syn": batch_syn,
    }
    distillation = own | ({"expansion_end": expansion} if expansion else {}) | other
    return {"preprocessing": {"zca": True}, "distillation": distillation}


_FOUR_BLOCKS = {"network": {"depth": 4}}

# The published configurations, all with ZCA whitening.
PUBLISHED = {
    ("cifar10", 1): _published(80, (0, None, 4), lr_img=100, lr_label=5, lr_lr=1e-7, batch_syn=10, threshold=1.1),
    ("cifar10", 10): _published(80, (0, 10, 20), 1000, lr_img=100, lr_label=2, batch_syn=100),
    ("cifar10", 50): _published(80, (0, 20, 40), 2000, lr_img=1000, lr_label=2, batch_syn=500),
    ("cifar10", 500): _published(40, (40, None, 60), lr_img=50, lr_label=10),
    ("cifar10", 1000): _published(100, (40, None, 60), lr_img=50, lr_label=10),
    ("cifar100", 1): _published(40, (0, 10, 20), 1000, lr_img=1000, lr_label=10, epochs=3),
    ("cifar100", 10): _published(80, (0, 30, 50), 2000, lr_img=1000, lr_label=10),
    ("cifar100", 50): _published(80, (20, None, 70), lr_img=1000, lr_label=10, init="real"),
    ("cifar100", 100): _published(80, (30, None, 70), lr_img=50, lr_label=10),
    ("tinyimagenet", 1): _published(40, (0, 15, 20), 2000, lr_img=10000, lr_label=10, lr_lr=1e-4) | _FOUR_BLOCKS,
    ("tinyimagenet", 10): _published(40, (10, None, 50), lr_img=100, lr_label=10, lr_lr=1e-4, batch_syn=500)
    | _FOUR_BLOCKS,
    ("tinyimagenet", 50): _published(20, (40, None, 70), lr_img=100, lr_label=10, lr_lr=1e-4) | _FOUR_BLOCKS,
}

SCALES: dict[str, dict[str, Any]] = {
    "demo": {
        "distillation": {
            "iterations": 100,
            "snapshot_interval": 50,
            "student_steps": 10,
            "current_max_start_epoch": 3,
            "max_start_epoch": 6,
            "expansion_end": 50,
            "batch_syn": 50,
            "experts": {"runs": 4, "epochs": 8, "batch_size": 64},
        }
    },
    "smoke": {
        "distillation": {
            "iterations": 4,
            "snapshot_interval": 2,
            "student_steps": 2,
            "expert_epochs": 1,
            "current_max_start_epoch": 1,
            "max_start_epoch": 2,
            "expansion_end": 2,
            "threshold": None,
            "experts": {"runs": 2, "epochs": 2, "batch_size": 16},
        }
    },
}

DATM = Method(
    name="datm",
    title="DATM",
    summary="Trajectory matching with learned soft labels, in epochs whose difficulty fits the number of images.",
    reference="Guo et al., Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching, ICLR 2024",
    settings_model=DATMSettings,
    algorithm="bacon.methods.datm.algorithm:DATM",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-datm",
    needs=experts_needed,
    cost=trajectory_work,
    figure_place=15,
    term_titles={"distance": "Trajectory distance", "rate": "Learned rate", "applied": "Updates applied"},
)
