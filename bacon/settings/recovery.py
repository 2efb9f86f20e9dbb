"""Settings of methods that recover images from what networks trained on the real set know of it. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from bacon.settings.base import Strict
from bacon.settings.distillation import IterativeSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.network import NetworkSettings
from bacon.settings.trained_networks import TeacherSettings


class BatchTeacherSettings(TeacherSettings):
    """How the teachers with batch norm are trained, as those of an evaluation by soft labels are."""

    network: NetworkSettings | None = Field(
        NetworkSettings(architecture="resnet18", norm="batch"),
        description="Their architecture, which must have batch norm; null: the cell's `network`.",
    )
    epochs: int = Field(200, ge=1, description="Epochs of each.")
    lr: float = Field(0.1, gt=0, description="Learning rate.")
    batch_size: int = Field(128, ge=1, description="Real images per step.")
    augmentation: Literal["none", "crop_flip", "dsa"] = Field(
        "crop_flip",
        description="Augmentation of their training: none, padded crops and mirroring, or DSA; without flip in `dsa_strategy`, "
        "nothing is mirrored.",
    )


class ViewSettings(Strict):
    """How a batch of images is seen in each iteration: a crop, mirrored and shifted, with one draw for the whole batch."""

    crop: Literal["none", "padded", "resized"] = Field(
        "none", description="none; padded: by 4 pixels on each side, then cropped; resized: random resized crops."
    )
    flip: bool = Field(False, description="Mirror with probability 1/2, unless `dsa_strategy` has no flip.")
    shift: tuple[int, int] = Field(
        (0, 4),
        description="Smallest and largest shift in pixels, both ways, what leaves at one side coming in at the other.",
    )

    @field_validator("shift")
    @classmethod
    def _ascending(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError(f"the smallest shift {value[0]} is above the largest, {value[1]}")
        return value


class RecoverySettings(IterativeSettings):
    """Settings of methods that recover images from teachers (docs/algorithms.md, SRe2L)."""

    iterations: int = Field(1000, ge=0, description="Iterations, each a step of every image.")
    snapshot_interval: int = Field(
        100,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    init: Literal["noise", "real"] = Field("noise", description="Initial synthetic images: N(0, 1), or real images.")
    batch_images: int = Field(
        100, ge=1, description="Most images of a batch, whose statistics are matched with those of the real set."
    )
    lr_img: float = Field(
        0.25, gt=0, description="Learning rate of the images (Adam), which falls to 0 along a cosine."
    )
    statistics_weight: float = Field(0.01, ge=0, description="Weight of the distance of statistics.")
    first_weight: float = Field(10.0, ge=0, description="Weight of the first layer in it; the other layers have 1.")
    tv_weight: float = Field(0.0, ge=0, description="Weight of the total variation (published scripts: 0).")
    l2_weight: float = Field(0.0, ge=0, description="Weight of the mean norm of the images (published scripts: 0).")
    view: ViewSettings = Field(ViewSettings(), description="What the teachers see of a batch in each iteration.")
    dsa_strategy: str = Field(
        PAPER_DSA_STRATEGY,
        description="DSA operations joined by _, or none: of the teachers' training; without flip, nothing is mirrored.",
    )

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else super().real_images_needed(ipc)
