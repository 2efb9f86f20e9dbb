"""SRe2L: squeeze, recover and relabel (Yin et al., NeurIPS 2023)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bacon.methods.base import CellSize, Method, Work
from bacon.methods.recovery_work import check_batch_norm, recovery_work
from bacon.settings.cell_settings import CellSettings
from bacon.settings.recovery import BatchTeacherSettings, RecoverySettings
from bacon.settings.trained_networks import TEACHERS, selection_need
from bacon.settings.training_need import TrainingNeed


class SRe2LSettings(RecoverySettings):
    """Settings of SRe2L."""

    teachers: BatchTeacherSettings = Field(
        BatchTeacherSettings(),
        description="Networks with batch norm, trained on the real set, that images are recovered from.",
    )


def teachers_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """Networks whose weights and running statistics after training are kept; raises :class:`BaconError` without batch norm."""
    own = settings.distillation
    assert isinstance(own, SRe2LSettings), "SRe2L has its own settings"
    needs = (selection_need(TEACHERS, own.teachers, settings.network, dsa_strategy=own.dsa_strategy, keep={"final"}),)
    check_batch_norm(needs)
    return needs


def work(settings: SRe2LSettings, size: CellSize) -> Work:
    """Per iteration: every image through the teacher, with its gradient."""
    return recovery_work(settings, size, [settings.teachers.network])


SMALL_TEACHER = {"architecture": "convnet", "width": 8, "depth": 2, "norm": "batch"}
DEMO_TEACHER = {
    "network": {"architecture": "convnet", "width": 32, "depth": 3, "norm": "batch"},
    "epochs": 20,
    "lr": 0.01,
    "batch_size": 64,
}
SMOKE_TEACHER = {"network": SMALL_TEACHER, "epochs": 2, "lr": 0.01, "batch_size": 16}
RESNET = {"architecture": "resnet18", "norm": "batch"}
RESNET_TEACHER = {"network": RESNET, "epochs": 200, "lr": 0.1, "batch_size": 128, "augmentation": "crop_flip"}


def scales(demo: dict[str, Any], smoke: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Labels in an evaluation by teachers come from the teacher that images are recovered from."""
    return {
        "paper": {"evaluation": {"teachers": RESNET_TEACHER}},
        "demo": {
            "distillation": {"teachers": DEMO_TEACHER, **demo},
            "evaluation": {"teachers": {**DEMO_TEACHER, "augmentation": "crop_flip"}},
        },
        "smoke": {
            "distillation": {"teachers": SMOKE_TEACHER, **smoke},
            "evaluation": {"teachers": {**SMOKE_TEACHER, "augmentation": "crop_flip"}},
        },
    }


_TINY = {
    "lr_img": 0.1,
    "statistics_weight": 1.0,
    "iterations": 4000,
    "view": {"crop": "resized", "flip": True, "shift": [-4, 4]},
}
PUBLISHED: dict[tuple[str, int], Any] = {
    **{("cifar100", ipc): {} for ipc in (1, 10, 50)},
    **{("tinyimagenet", ipc): {"distillation": _TINY} for ipc in (1, 10, 100)},
    ("tinyimagenet", 50): {"distillation": _TINY | {"iterations": 1000}},
}

SRE2L = Method(
    name="sre2l",
    title="SRe2L",
    summary="Images recovered from the batch-norm statistics of a trained network; made to be labelled by it view by view.",
    reference="Yin et al., Squeeze, Recover and Relabel: Dataset Condensation at ImageNet Scale From A New Perspective, "
    "NeurIPS 2023",
    settings_model=SRe2LSettings,
    algorithm="bacon.methods.sre2l.algorithm:SRe2L",
    scales=scales(
        {"iterations": 200, "snapshot_interval": 50, "view": {"shift": [0, 2]}},
        {"iterations": 4, "snapshot_interval": 2},
    ),
    published=PUBLISHED,
    protocol="p-sre2l",
    needs=teachers_needed,
    cost=work,
    figure_place=35,
    term_titles={"statistics": "Statistics"},
)
