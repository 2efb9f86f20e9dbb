"""RDED: crops of real images that a teacher is most sure of (Sun et al., CVPR 2024)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.methods.feature_needs import DEMO, SMOKE
from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import DistillationSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy
from bacon.settings.trained_networks import TEACHERS, TeacherSettings, selection_need
from bacon.settings.training_need import TrainingNeed

Share = Annotated[float, Field(gt=0, le=1)]


class RDEDSettings(DistillationSettings):
    """Settings of RDED."""

    factor: int = Field(1, ge=1, le=8, description="Each stored image is factor x factor crops, tiled.")
    candidates: int = Field(
        300,
        ge=1,
        description="Random images of each class that crops are taken of (all if fewer; more if more crops are needed).",
    )
    crops: int = Field(5, ge=1, description="Crops of each of them, of which the best is kept.")
    crop_scale: tuple[Share, Share] = Field(
        (0.08, 1.0), description="Smallest and largest share of the image's area in a crop; its aspect ratio is kept."
    )
    teachers: TeacherSettings = Field(
        TeacherSettings(), description="Networks trained on the real set, whose cross-entropy ranks the crops."
    )
    dsa_strategy: str = Field(
        PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none: of the teachers' training."
    )

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    @field_validator("crop_scale")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"the smallest share {value[0]} is above the largest, {value[1]}")
        return value

    def real_images_needed(self, ipc: int) -> int:
        """``ipc * factor^2``: each crop is of another image."""
        return ipc * self.factor**2


def teachers_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """Networks whose weights after training are kept."""
    own = settings.distillation
    assert isinstance(own, RDEDSettings), "RDED has its own settings"
    return (selection_need(TEACHERS, own.teachers, settings.network, dsa_strategy=own.dsa_strategy, keep={"final"}),)


def crop_work(settings: RDEDSettings, size: CellSize) -> Work:
    """The teacher sees every crop."""
    images = size.real_batch(max(settings.candidates, settings.real_images_needed(size.ipc)))
    return Work(iterations=1, passes=(Passes(kind="forward", images=images, count=settings.crops),))


# The teachers of the published ConvNet rows have batch norm, and four blocks on TinyImageNet; the factor is 1 throughout.
PUBLISHED = {
    (dataset, ipc): {"network": {"norm": "batch"} | ({"depth": 4} if dataset == "tinyimagenet" else {})}
    for dataset in ("cifar10", "cifar100", "tinyimagenet")
    for ipc in (1, 10, 50)
}

RDED = Method(
    name="rded",
    title="RDED",
    summary="Crops of real images that a trained network classifies most surely, tiled; no optimisation.",
    reference="Sun et al., On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm, "
    "CVPR 2024",
    settings_model=RDEDSettings,
    algorithm="bacon.methods.rded.algorithm:RDED",
    scales={
        "demo": {"distillation": {"teachers": DEMO}},
        "smoke": {"distillation": {"candidates": 20, "crops": 2, "teachers": SMOKE | {"runs": 1}}},
    },
    published=PUBLISHED,
    protocol="p-rded",
    needs=teachers_needed,
    cost=crop_work,
    figure_place=34,
)
