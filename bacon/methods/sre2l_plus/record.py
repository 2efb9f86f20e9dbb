"""SRe2L++: SRe2L retuned by the authors of CV-DD (Cui et al., 2025)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.sre2l.record import SRE2L, SRe2LSettings, scales, teachers_needed, work
from bacon.settings.recovery import ViewSettings


class SRe2LPlusSettings(SRe2LSettings):
    """Settings of SRe2L++."""

    iterations: int = Field(4000, ge=0, description="Iterations, each a step of every image.")
    snapshot_interval: int = Field(
        400,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    init: Literal["noise", "real"] = Field("real", description="Initial synthetic images: N(0, 1), or real images.")
    view: ViewSettings = Field(
        ViewSettings(crop="resized", flip=True), description="What the teachers see of a batch in each iteration."
    )


# What the released program of CV-DD sets; its scripts for CIFAR-10 recover in 200 iterations.
PUBLISHED: dict[tuple[str, int], Any] = {
    **{("cifar10", ipc): {"distillation": {"iterations": 200, "snapshot_interval": 20}} for ipc in (1, 10, 50)},
    **{(dataset, ipc): {} for dataset in ("cifar100", "tinyimagenet") for ipc in (1, 10, 50)},
}

SRE2L_PLUS = Method(
    name="sre2l_plus",
    title="SRe2L++",
    summary="SRe2L from real images, with settings retuned for small sets and a schedule of its own in evaluation.",
    reference="Cui et al., Dataset Distillation via Committee Voting, 2025 (SRe2L++, the baseline of CV-DD)",
    settings_model=SRe2LPlusSettings,
    algorithm="bacon.methods.sre2l.algorithm:SRe2L",
    scales=scales(
        {"iterations": 200, "snapshot_interval": 50, "view": {"shift": [0, 2]}},
        {"iterations": 4, "snapshot_interval": 2},
    ),
    published=PUBLISHED,
    protocol="p-sre2l-plus",
    needs=teachers_needed,
    cost=work,
    figure_place=36,
    term_titles=SRE2L.term_titles,
)
