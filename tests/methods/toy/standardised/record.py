"""Standardised mean matching: DM's distance in units of the real batch's standard deviation."""

from __future__ import annotations

from pydantic import Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.settings.distillation import MatchingSettings


class StandardisedSettings(MatchingSettings):
    """Settings of standardised mean matching."""

    epsilon: float = Field(0.1, gt=0, description="Added to the standard deviation; keeps flat dimensions finite.")


def work(settings: StandardisedSettings, size: CellSize) -> Work:
    """Per iteration: embed the real batch, and the synthetic images with their gradient."""
    passes = (
        Passes(kind="forward", images=size.real_batch(settings.batch_real)),
        Passes(kind="image_gradient", images=size.ipc * settings.parts() * size.classes),
    )
    return Work(iterations=settings.iterations, passes=passes)


STANDARDISED = Method(
    name="standardised",
    title="Standardised",
    summary="Matches mean embeddings in units of the real batch's standard deviation.",
    reference="An example of docs/add-a-method.md",
    settings_model=StandardisedSettings,
    algorithm="standardised.algorithm:Standardised",
    settings={"distillation": {"update": "joint", "lr_img": 0.1}},
    scales={
        "smoke": {"distillation": {"iterations": 4, "snapshot_interval": 2, "batch_real": 16}},
        "demo": {"distillation": {"iterations": 150, "snapshot_interval": 50, "batch_real": 64}},
    },
    cost=work,
)
