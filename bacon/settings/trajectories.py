"""Settings of trajectory matching, to which a method adds its initial images and its labels. No torch."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from bacon.settings.distillation import IterativeSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.experts import ExpertSettings


class TrajectorySettings(IterativeSettings):
    """Settings of methods that match trajectories of experts (docs/algorithms.md, Trajectory matching)."""

    iterations: int = Field(5000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        500,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    experts: ExpertSettings = Field(ExpertSettings(), description="Networks trained on the real set to be matched.")
    student_steps: int = Field(30, ge=1, description="N: steps on the synthetic images in each iteration.")
    expert_epochs: int = Field(2, ge=1, description="M: epochs of the expert that they are to equal.")
    max_start_epoch: int = Field(
        20, ge=1, description="T+: the expert's start epoch is uniform in [0, T+), the upper end excluded."
    )
    batch_syn: int | None = Field(None, ge=1, description="Synthetic images per step; null: all of them.")
    lr_img: float = Field(100.0, gt=0, description="Learning rate of the synthetic images.")
    lr_lr: float = Field(1e-5, ge=0, description="Learning rate of the student's learning rate; 0: it is not learned.")
    lr_student: float = Field(0.01, gt=0, description="Initial learning rate of the student, which is learned.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images and of the learning rate.")
    dsa_strategy: str = Field(
        PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none: of experts and students."
    )
    constant_memory: bool = Field(
        True,
        description="Take the student's steps again on the way back instead of keeping their graphs: the same gradient in the "
        "memory of about one step, in a little more time.",
    )

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    @model_validator(mode="after")
    def _window_fits_the_experts(self) -> TrajectorySettings:
        last = self.last_start_epoch() + self.expert_epochs
        if last > self.experts.epochs:
            raise ValueError(
                f"matching up to epoch {last} (`max_start_epoch` {self.max_start_epoch}, `expert_epochs` {self.expert_epochs}) "
                f"needs as many epochs of the experts, `experts.epochs` is {self.experts.epochs}: raise it, or lower the others"
            )
        return self

    def last_start_epoch(self) -> int:
        """The largest epoch that a window begins with."""
        return self.max_start_epoch - 1
