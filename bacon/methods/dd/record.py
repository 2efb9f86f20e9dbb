"""DD, dataset distillation (Wang et al., 2018): images and step sizes that train a fresh network in a few steps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.methods.trajectory_work import STEP_PASSES
from bacon.settings.distillation import IterativeSettings


class DDSettings(IterativeSettings):
    """Settings of DD."""

    passes: int = Field(
        3,
        ge=1,
        description="Passes over the images: a network takes IPC * passes steps, each on one image of every class.",
    )
    initialisation: Literal["random", "fixed"] = Field(
        "random",
        description="random: a new network in every iteration; fixed: always the distillation seed's one fixed network, "
        "for which alone the images then are (`evaluation.initialisation: fixed` trains it on them).",
    )
    lr_student: float = Field(
        0.001, gt=0, description="Initial learning rate of each of the steps, which are all learned."
    )
    lr: float = Field(0.01, gt=0, description="Learning rate of Adam on images and rates.")
    betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's decay of the means.")
    lr_interval: int = Field(
        2000, ge=1, description="Adam's rate is multiplied by `lr_factor` every N iterations (published: 40 epochs)."
    )
    lr_factor: float = Field(0.5, gt=0, le=1, description="Factor of Adam's rate.")
    networks: int = Field(1, ge=1, description="Fresh networks per iteration, whose losses are averaged.")
    batch_real: int = Field(1024, ge=1, description="Real images of an iteration, of all classes (at most all).")
    augmentation: Literal["none", "crop_flip"] = Field(
        "none",
        description="Of the real images; crop_flip: reflected by 4 pixels, cropped, mirrored (published: CIFAR-10).",
    )
    constant_memory: bool = Field(
        True,
        description="Take the steps again on the way back instead of keeping their graphs: the same gradient in the memory of "
        "about one step, in a little more time.",
    )

    @model_validator(mode="after")
    def _one_fixed_network(self) -> DDSettings:
        if self.initialisation == "fixed" and self.networks > 1:
            raise ValueError(
                f"`initialisation` is fixed, so all {self.networks} `networks` would be the same: set it to 1"
            )
        return self

    def real_images_needed(self, ipc: int) -> int:
        """None: the images start as noise."""
        del ipc
        return 0


def work(settings: DDSettings, size: CellSize) -> Work:
    """Per iteration: a network's steps on one image of every class each, differentiated twice, and a real batch."""
    steps = size.ipc * settings.passes
    each = STEP_PASSES[settings.constant_memory]
    passes = (
        Passes(kind="training", images=size.classes, count=settings.networks * steps * each),
        Passes(kind="training", images=min(settings.batch_real, size.train), count=settings.networks),
    )
    return Work(iterations=settings.iterations, passes=passes, host_weights=steps if settings.constant_memory else 0)


# 400 epochs of 59 (MNIST) and 49 (CIFAR-10) batches; the rate of Adam is halved every 40 epochs.
# MNIST with one image per class is published with the fixed initialisation, the others with both.
_MNIST = {"distillation": {"iterations": 23600, "lr_interval": 2360, "lr_student": 0.02}}
PUBLISHED: dict[tuple[str, int], dict[str, Any]] = {
    ("mnist", 1): _MNIST,
    ("mnist", 10): _MNIST,
    ("cifar10", 10): {
        "distillation": {
            "iterations": 19600,
            "lr_interval": 1960,
            "lr_student": 0.001,
            "augmentation": "crop_flip",
        }
    },
}

SCALES: dict[str, dict[str, Any]] = {
    "demo": {
        "distillation": {
            "iterations": 200,
            "snapshot_interval": 100,
            "lr_student": 0.02,
            "lr": 0.05,
            "lr_interval": 100,
            "batch_real": 256,
        }
    },
    "smoke": {
        "distillation": {"iterations": 4, "snapshot_interval": 2, "passes": 2, "lr_student": 0.02, "batch_real": 16}
    },
}

DD = Method(
    name="dd",
    title="DD",
    summary="Learns images and step sizes with which a fresh network is trained in a few steps of gradient descent.",
    reference="Wang et al., Dataset Distillation, arXiv 1811.10959",
    settings_model=DDSettings,
    algorithm="bacon.methods.dd.algorithm:DD",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-dd",
    cost=work,
    figure_place=16,
    term_titles={"real_loss": "Cross-entropy on real images (nats)", "rate": "Mean learned rate"},
)
