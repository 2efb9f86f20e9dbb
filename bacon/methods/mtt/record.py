"""MTT, matching training trajectories (Cazenavette et al., CVPR 2022)."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field, field_validator, model_validator

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import IterativeSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.experts import ExpertSettings, expert_need
from bacon.settings.training_need import TrainingNeed

# What an iteration's step costs in passes of a training step: forward and backward, and both of these differentiated; in
# constant memory the step is taken twice.
_NAIVE, _AGAIN = 3, 1


class TrajectorySettings(IterativeSettings):
    """Settings of methods that match trajectories of experts (docs/algorithms.md, MTT)."""

    iterations: int = Field(5000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        500,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    experts: ExpertSettings = Field(ExpertSettings(), description="Networks trained on the real set to be matched.")
    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")
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

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else super().real_images_needed(ipc)


class MTTSettings(TrajectorySettings):
    """Settings of MTT."""


class _Trajectories(Protocol):
    """Settings of a method with experts."""

    experts: ExpertSettings
    dsa_strategy: str


def experts_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """The experts, in the architecture that the cell is distilled with."""
    own: Any = settings.distillation
    chosen: _Trajectories = own
    return (expert_need(chosen.experts, settings.network, dsa_strategy=chosen.dsa_strategy),)


def trajectory_work(settings: TrajectorySettings, size: CellSize) -> Work:
    """Per iteration: N steps of the student, differentiated twice."""
    images = size.ipc * settings.parts() * size.classes
    each = _NAIVE + (_AGAIN if settings.constant_memory else 0)
    batch = min(images, settings.batch_syn or images)
    passes = (Passes(kind="training", images=batch, count=settings.student_steps * each),)
    return Work(iterations=settings.iterations, passes=passes)


def _published(
    steps: int,
    epochs: int,
    start: int,
    *,
    lr_img: float,
    lr_lr: float,
    lr_student: float = 0.01,
    batch_syn: int | None = None,
    depth: int | None = None,
) -> dict[str, Any]:
    own = {
        "student_steps": steps,
        "expert_epochs": epochs,
        "max_start_epoch": start,
        "lr_img": lr_img,
        "lr_lr": lr_lr,
        "lr_student": lr_student,
        "batch_syn": batch_syn,
    }
    return {"distillation": own} | ({"network": {"depth": depth}} if depth else {})


# N, M, T+ and rates of the published commands. ZCA whitening is the data set's setting (data.NAME.zca): the commands have it
# for CIFAR-10 with IPC 1 and 10 and for CIFAR-100 with IPC 1 and 50. TinyImageNet's network has four blocks.
PUBLISHED = {
    ("cifar10", 1): _published(50, 2, 2, lr_img=100, lr_lr=1e-7),
    ("cifar10", 10): _published(30, 2, 20, lr_img=100, lr_lr=1e-5, lr_student=0.001),
    ("cifar10", 50): _published(30, 2, 40, lr_img=1000, lr_lr=1e-5, lr_student=0.001),
    ("cifar100", 1): _published(20, 3, 20, lr_img=1000, lr_lr=1e-5),
    ("cifar100", 10): _published(20, 2, 20, lr_img=1000, lr_lr=1e-5),
    ("cifar100", 50): _published(80, 2, 40, lr_img=1000, lr_lr=1e-5, batch_syn=125),
    ("tinyimagenet", 1): _published(10, 2, 10, lr_img=10000, lr_lr=1e-4, depth=4),
    ("tinyimagenet", 10): _published(20, 2, 40, lr_img=10000, lr_lr=1e-4, batch_syn=200, depth=4),
    ("tinyimagenet", 50): _published(20, 2, 40, lr_img=10000, lr_lr=1e-4, batch_syn=300, depth=4),
}

SCALES: dict[str, dict[str, Any]] = {
    "demo": {
        "distillation": {
            "iterations": 150,
            "snapshot_interval": 50,
            "student_steps": 10,
            "max_start_epoch": 6,
            "experts": {"runs": 4, "epochs": 8, "batch_size": 64},
        }
    },
    "smoke": {
        "distillation": {
            "iterations": 4,
            "snapshot_interval": 2,
            "student_steps": 2,
            "expert_epochs": 1,
            "max_start_epoch": 2,
            "experts": {"runs": 2, "epochs": 2, "batch_size": 16},
        }
    },
}

MTT = Method(
    name="mtt",
    title="MTT",
    summary="Matches the weights after steps on the synthetic images to those that experts reach on real ones.",
    reference="Cazenavette et al., Dataset Distillation by Matching Training Trajectories, CVPR 2022",
    settings_model=MTTSettings,
    algorithm="bacon.methods.mtt.algorithm:MTT",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-mtt",
    needs=experts_needed,
    cost=trajectory_work,
    figure_place=14,
    term_titles={"distance": "Trajectory distance", "rate": "Learned rate"},
)
