"""G-VBSM: generalised matching of statistics over several backbones (Shao et al., CVPR 2024)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.methods.recovery_work import check_convolutions, recovery_work
from bacon.settings.cell_settings import CellSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_records import FIVE_NETWORKS
from bacon.settings.recovery import RecoverySettings, ViewSettings
from bacon.settings.trained_networks import TEACHERS, EnsembleSettings, ensemble_needs
from bacon.settings.training_need import TrainingNeed


class GVBSMTeachers(EnsembleSettings):
    """How the teachers are trained, as those of an evaluation by soft labels are."""

    networks: tuple[NetworkSettings, ...] = Field(
        tuple(NetworkSettings.model_validate(network) for network in FIVE_NETWORKS),
        description="Their architectures, `runs` of each, with convolutions or batch norm; empty: `network` alone.",
    )
    epochs: int = Field(50, ge=1, description="Epochs of each.")


class GVBSMSettings(RecoverySettings):
    """Settings of G-VBSM."""

    iterations: int = Field(4000, ge=0, description="Iterations, each a step of every image.")
    snapshot_interval: int = Field(
        400,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    lr_img: float = Field(
        0.05, gt=0, description="Learning rate of the images (Adam), which falls to 0 along a cosine."
    )
    view: ViewSettings = Field(
        ViewSettings(crop="padded", flip=True, shift=(0, 32)),
        description="What the teachers see of a batch in each iteration.",
    )
    teachers: GVBSMTeachers = Field(
        GVBSMTeachers(),
        description="Networks trained on the real set; each iteration looks through one.",
    )
    momentum: float = Field(0.8, ge=0, lt=1, description="Momentum of the running means of a batch's statistics.")
    conv_drop: float = Field(
        0.4, ge=0, lt=1, description="Probability with which an iteration leaves out the statistics of a convolution."
    )
    density_weight: float = Field(1.0, ge=0, description="Weight of data densification.")
    density_temperature: float = Field(4.0, gt=1, description="Temperature of its target.")
    statistics_batch: int = Field(
        64, ge=1, description="Real images of a batch in which the statistics of convolutions are measured."
    )
    statistics_images: int | None = Field(
        None, ge=1, description="Random real images that they are measured on; null: all."
    )


def teachers_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """The final weights of each architecture's networks; raises :class:`BaconError` where there is nothing to match in one."""
    own = settings.distillation
    assert isinstance(own, GVBSMSettings), "G-VBSM has its own settings"
    needs = ensemble_needs(TEACHERS, own.teachers, settings.network, dsa_strategy=own.dsa_strategy)
    check_convolutions(needs)
    return needs


def work(settings: GVBSMSettings, size: CellSize) -> Work:
    """Per iteration every image through a teacher with its gradient; once, spread over them, the real set through each."""
    networks = settings.teachers.networks or (settings.teachers.network,)
    host = recovery_work(settings, size, networks)
    real = min(size.train, settings.statistics_images or size.train) * len(networks)
    once = Passes(kind="forward", images=-(-real // max(settings.iterations, 1)))
    return Work(iterations=host.iterations, passes=(*host.passes, once))


_BATCH = {"norm": "batch"}
SMALL_NETWORKS: list[dict[str, Any]] = [
    {"architecture": "convnet", "width": 8, "depth": 2, **_BATCH},
    {"architecture": "convnet", "width": 6, "depth": 1, **_BATCH},
]
SMOKE: dict[str, Any] = {"networks": SMALL_NETWORKS, "epochs": 2, "batch_size": 16}
DEMO: dict[str, Any] = {
    "networks": [
        {"architecture": "convnet", "width": 32, "depth": 3, **_BATCH},
        {"architecture": "convnet", "width": 32, "depth": 2, **_BATCH},
        {"architecture": "shufflenet_v2_x0_5"},
    ],
    "epochs": 20,
    "batch_size": 64,
}
_DEMO_SCALE = {
    "iterations": 200,
    "snapshot_interval": 50,
    "view": {"shift": [0, 2]},
    "teachers": DEMO,
    "statistics_images": 5000,
}
SCALES: dict[str, dict[str, Any]] = {
    "demo": {"distillation": _DEMO_SCALE, "evaluation": {"teachers": DEMO}},
    "smoke": {
        "distillation": {"iterations": 4, "snapshot_interval": 2, "statistics_images": 60, "teachers": SMOKE},
        "evaluation": {"teachers": SMOKE},
    },
}


def _published(epochs: int) -> dict[str, Any]:
    """How the teachers are trained, in recovery and in evaluation, for ``epochs``."""
    teachers = {"epochs": epochs, "lr": 0.05, "batch_size": 64, "weight_decay": 0.0, "augmentation": "crop_flip"}
    return {"distillation": {"teachers": teachers}, "evaluation": {"teachers": teachers}}


PUBLISHED: dict[tuple[str, int], Any] = {
    **{("cifar10", ipc): _published(5) for ipc in (1, 10, 50)},
    **{("cifar100", ipc): _published(50) for ipc in (1, 10, 50)},
}

GVBSM = Method(
    name="gvbsm",
    title="G-VBSM",
    summary="Images recovered from five networks in turn, by statistics of their batch norms, convolutions and patches.",
    reference="Shao et al., Generalized Large-Scale Data Condensation via Various Backbone and Statistical Matching, CVPR 2024",
    settings_model=GVBSMSettings,
    algorithm="bacon.methods.gvbsm.algorithm:GVBSM",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-gvbsm",
    needs=teachers_needed,
    cost=work,
    figure_place=37,
    term_titles={"statistics": "Statistics", "density": "Densification"},
)
