"""DANCE (Zhang et al., IJCAI 2024): mean matching between untrained and trained networks, calibrated in the trained ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.methods.matching_work import image_passes
from bacon.settings.calibrated_matching import CalibratedSettings, endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping


class DanceSettings(CalibratedSettings):
    """Settings of DANCE."""

    iterations: int = Field(10000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        1000,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    batch_real: int = Field(128, ge=2, description="Real images per class and iteration (at most all of them).")
    batch_synthetic: int | None = Field(
        200, ge=1, description="Decoded synthetic images per class and step, at random; null: all of them."
    )
    lr_img: float = Field(
        0.01,
        gt=0,
        description="Learning rate of the synthetic images, as pixels in [0, 1], for IPC 1; it is multiplied by the IPC.",
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images.")


def calibrated_work(settings: CalibratedSettings, size: CellSize) -> Work:
    """Per iteration: embed the real batch, and the synthetic images with their gradient, twice."""
    forward, synthetic = image_passes(settings, size)
    images = min(synthetic.images, size.classes * (settings.batch_synthetic or synthetic.images))
    rounds = 2 if settings.calibration_weight else 1
    return Work(
        iterations=settings.iterations,
        passes=(forward, Passes(kind="image_gradient", images=images, count=rounds)),
    )


def scales(iterations: int) -> Mapping[str, Mapping[str, Any]]:
    """A demo of so many iterations, and a smoke test."""
    demo = {
        "iterations": iterations,
        "snapshot_interval": iterations // 3,
        "batch_real": 64,
        "networks": {"runs": 5, "epochs": 20},
    }
    smoke = {"iterations": 4, "snapshot_interval": 2, "batch_real": 16, "networks": {"runs": 2, "epochs": 2}}
    return {"demo": {"distillation": demo}, "smoke": {"distillation": smoke}}


DANCE = Method(
    name="dance",
    title="DANCE",
    summary="Matches mean embeddings between untrained and trained networks; a cross-entropy step calibrates the images.",
    reference="Zhang et al., DANCE: Dual-View Distribution Alignment for Dataset Condensation, IJCAI 2024",
    settings_model=DanceSettings,
    algorithm="bacon.methods.dance.algorithm:Dance",
    scales=scales(150),
    protocol="p-dance",
    needs=endpoints,
    cost=calibrated_work,
    figure_place=22,
    term_titles={"mean": "Mean matching", "calibration": "Cross-entropy (nats)"},
)
