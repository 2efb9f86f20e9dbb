"""MTT, matching training trajectories (Cazenavette et al., CVPR 2022)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.trajectory_work import experts_needed, trajectory_work
from bacon.settings.trajectories import TrajectorySettings


class MTTSettings(TrajectorySettings):
    """Settings of MTT."""

    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else super().real_images_needed(ipc)


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
    zca: bool = False,
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
    whitening = {"preprocessing": {"zca": True}} if zca else {}
    return {"distillation": own} | ({"network": {"depth": depth}} if depth else {}) | whitening


# N, M, T+, rates and ZCA whitening of the published commands. TinyImageNet's network has four blocks.
PUBLISHED = {
    ("cifar10", 1): _published(50, 2, 2, lr_img=100, lr_lr=1e-7, zca=True),
    ("cifar10", 10): _published(30, 2, 20, lr_img=100, lr_lr=1e-5, lr_student=0.001, zca=True),
    ("cifar10", 50): _published(30, 2, 40, lr_img=1000, lr_lr=1e-5, lr_student=0.001),
    ("cifar100", 1): _published(20, 3, 20, lr_img=1000, lr_lr=1e-5, zca=True),
    ("cifar100", 10): _published(20, 2, 20, lr_img=1000, lr_lr=1e-5),
    ("cifar100", 50): _published(80, 2, 40, lr_img=1000, lr_lr=1e-5, batch_syn=125, zca=True),
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
