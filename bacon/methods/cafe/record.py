"""CAFE (Wang et al., CVPR 2022): match the features of all stages, keep classes apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.methods.matching_work import image_passes
from bacon.settings.distillation import MatchingSettings

_USUAL_STEPS = 12  # of the outer loop, and epochs after each: two more than the rules need at least


class CafeSettings(MatchingSettings):
    """Settings of CAFE."""

    iterations: int = Field(2000, ge=0, description="Distillation iterations, each with a new network.")
    snapshot_interval: int = Field(
        500,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    init: Literal["real", "noise"] = Field("noise", description="Initial synthetic images: real images or N(0, 1).")
    update: Literal["joint"] = Field("joint", description="One momentum step of all images at a time.")
    lr_img: float = Field(0.1, gt=0, description="Learning rate of the synthetic images; halved at `lr_milestones`.")
    lr_milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.6, 0.8, 0.9),
        description="Fractions of the iterations at which lr_img is halved (of 2000: 1200, 1600, 1800).",
    )
    augment: bool = Field(False, description="DSA of real and synthetic images (`dsa_strategy`): CAFE+DSA.")
    stage_weight: float = Field(0.1, ge=0, description="Weight of the maps of each stage but the last.")
    last_weight: float = Field(1.0, ge=0, description="Weight of the maps of the last stage, and of its pooled maps.")
    discrimination_weight: float = Field(
        0.01, ge=0, description="Weight of the real images' cross-entropy with the synthetic class centres, a sum."
    )
    lr_net: float = Field(0.01, gt=0, description="Learning rate of the network, which is trained on synthetic images.")
    batch_train: int = Field(256, ge=1, description="Synthetic images per step of the network.")
    query: int = Field(128, ge=1, description="Real images per class that an accuracy is measured on.")
    accuracy: Literal["clean", "published_code"] = Field(
        "published_code",
        description="clean: as measured; published_code: plus the loop's previous value divided by the number of classes.",
    )
    window: int = Field(
        10, ge=2, description="Number of accuracies whose spread (largest minus smallest) is looked at."
    )
    outer_spread: float = Field(
        0.04,
        ge=0,
        le=1,
        description="lambda_1: an iteration ends when accuracies after steps of the images spread less.",
    )
    inner_spread: float = Field(
        0.03, ge=0, le=1, description="lambda_2: the network's training ends when accuracies after epochs spread more."
    )
    max_outer: int = Field(50, ge=1, description="Most steps of the images per iteration (published code: no limit).")
    max_epochs: int = Field(100, ge=1, description="Most epochs of the network after each (published code: no limit).")


def work(settings: CafeSettings, size: CellSize) -> Work:
    """Per iteration, about a dozen steps with a dozen epochs each; how many there are depends on the accuracies."""
    steps, epochs = min(_USUAL_STEPS, settings.max_outer), min(_USUAL_STEPS, settings.max_epochs)
    synthetic = size.ipc * settings.parts() * size.classes
    real, image = image_passes(settings, size)
    return Work(
        iterations=settings.iterations,
        passes=(
            Passes(kind="forward", images=real.images, count=steps),
            Passes(kind="image_gradient", images=image.images, count=steps),
            Passes(kind="training", images=synthetic, count=steps * epochs),
            Passes(kind="forward", images=size.real_batch(settings.query), count=steps * (epochs + 1)),
        ),
    )


SCALES = {
    "demo": {
        "distillation": {
            "iterations": 40,
            "snapshot_interval": 10,
            "batch_real": 64,
            "query": 32,
            "window": 4,
            "max_outer": 8,
            "max_epochs": 8,
        }
    },
    "smoke": {
        "distillation": {
            "iterations": 4,
            "snapshot_interval": 2,
            "batch_real": 16,
            "query": 4,
            "window": 2,
            "max_outer": 2,
            "max_epochs": 2,
        }
    },
}
REFERENCE = "Wang et al., CAFE: Learning to Condense Dataset by Aligning Features, CVPR 2022"
TERM_TITLES = {
    "features": "Feature matching",
    "centres": "Class centres",
    "discrimination": "Discrimination (nats)",
    "outer_steps": "Steps per iteration",
    "epochs": "Epochs per iteration",
    "limited": "Loops ended by a limit",
}

CAFE = Method(
    name="cafe",
    title="CAFE",
    summary="Matches the features of all stages and keeps classes apart, in networks trained on the synthetic images.",
    reference=REFERENCE,
    settings_model=CafeSettings,
    algorithm="bacon.methods.cafe.algorithm:Cafe",
    scales=SCALES,
    protocol="p-cafe",
    cost=work,
    figure_place=23,
    term_titles=TERM_TITLES,
)
