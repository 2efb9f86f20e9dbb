"""IDC, information-intensive dataset condensation (Kim et al., ICML 2022)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.settings.augmentations import IDC_OPERATIONS
from bacon.settings.base import Strict
from bacon.settings.distillation import IterativeSettings
from bacon.settings.dsa_strategy import check_strategy


class RealTrainingSettings(Strict):
    """How an iteration's network learns from real images between two steps of the synthetic ones."""

    images: int = Field(
        2000, ge=0, description="Real images that it learns from after each step of the synthetic ones."
    )
    batch: int = Field(64, ge=1, description="Real images per SGD step; a pass takes whole batches.")
    lr: float = Field(0.01, gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum, which lasts over the iteration.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay.")
    idc_strategy: str = Field("color_crop", description="IDC operations joined by _; parameters for each image.")
    cutmix: float = Field(0.5, ge=0, le=1, description="Fraction of the batches that CutMix mixes.")
    warmup_epochs: int = Field(
        0, ge=0, description="Passes over all real images before the first step (published: 10 for ImageNet-10)."
    )

    @field_validator("idc_strategy")
    @classmethod
    def _check_idc(cls, value: str) -> str:
        return check_strategy(value, IDC_OPERATIONS, "IDC")

    def steps(self, train: int) -> int:
        """SGD steps of a pass, for a set of ``train`` images: as many whole batches as hold ``images``."""
        return -(-min(self.images, train) // self.batch)


class IDCSettings(IterativeSettings):
    """Settings of IDC, and of DREAM, which chooses the real images by clusters."""

    iterations: int = Field(2000, ge=0, description="Distillation iterations, each with a new network.")
    snapshot_interval: int = Field(
        200,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    inner: int = Field(
        100, ge=1, description="Steps of the images per iteration; the network learns between two of them."
    )
    partition: int = Field(
        2,
        ge=1,
        le=8,
        description="Each stored image holds partition^2 down-scaled images (IDC-I: 1; docs/algorithms.md, Partition).",
    )
    init: Literal["real", "noise", "clusters"] = Field(
        "real",
        description="Initial synthetic images: random real images, N(0, 1), or those nearest to k-means centroids.",
    )
    resize: Literal["nearest", "bilinear"] = Field(
        "nearest", description="How the first images are made smaller for the partition (published code: nearest)."
    )
    sampling: Literal["random", "clusters"] = Field(
        "random", description="Real images of a step: random ones, or those nearest to k-means centroids (DREAM)."
    )
    refresh: int = Field(10, ge=1, description="sampling clusters: the images are chosen again every N steps.")
    cluster_steps: int = Field(20, ge=0, description="Steps of k-means (Lloyd), from random images of the class.")
    batch_real: int = Field(64, ge=1, description="Real images per class and step (at most all of them).")
    batch_synthetic: int = Field(
        128, ge=1, description="Decoded synthetic images per class and step, at most; at random."
    )
    distance: Literal["squared", "absolute"] = Field(
        "squared",
        description="Distance of gradients: sum of squared differences (published: mse) or of absolute ones (l1).",
    )
    matched: Literal["convolutions", "weights"] = Field(
        "convolutions", description="Which gradients are compared: those of convolutions, or of linear layers too."
    )
    lr_img: float = Field(
        5e-3,
        gt=0,
        description="Learning rate of the synthetic images, as pixels in [0, 1], for 10 images per class of the side "
        "reference_size; times IPC / 10 and (side / reference_size)^2.",
    )
    reference_size: int = Field(32, ge=1, description="Side of the images that lr_img is meant for.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images.")
    idc_strategy: str = Field(
        "color_crop_cutout", description="IDC operations joined by _; one draw for all images of a class."
    )
    networks: RealTrainingSettings = Field(
        RealTrainingSettings(), description="How the networks learn from real images."
    )

    @field_validator("idc_strategy")
    @classmethod
    def _check_idc(cls, value: str) -> str:
        return check_strategy(value, IDC_OPERATIONS, "IDC")

    def image_rate(self, ipc: int, side: int) -> float:
        """Learning rate of the images of a cell (published rule)."""
        return self.lr_img * ipc / 10 * (side / self.reference_size) ** 2

    def parts(self) -> int:
        """``partition^2``."""
        return self.partition**2

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else super().real_images_needed(ipc)


def idc_work(settings: IDCSettings, size: CellSize) -> Work:
    """Per step: gradients of real and of synthetic images, and a pass of the network; and what k-means looks at."""
    networks, inner = settings.networks, settings.inner
    synthetic = min(size.ipc * settings.parts(), settings.batch_synthetic) * size.classes
    steps = networks.steps(size.train) * (inner - 1) + -(-size.train // networks.batch) * networks.warmup_epochs
    passes = [
        Passes(kind="training", images=size.real_batch(settings.batch_real), count=inner),
        Passes(kind="matching_gradient", images=synthetic, count=inner),
    ]
    if steps:
        passes.append(Passes(kind="training", images=min(networks.batch, size.train), count=steps, ahead=True))
    if settings.sampling == "clusters":
        passes.append(Passes(kind="forward", images=size.train, count=-(-inner // settings.refresh)))
    return Work(iterations=settings.iterations, passes=tuple(passes))


_SETS: dict[str, dict[str, Any]] = {
    # Partitioned images of it are small: neither cutout nor CutMix.
    "mnist": {
        "distance": "absolute",
        "lr_img": 1e-4,
        "reference_size": 28,
        "idc_strategy": "color_crop",
        "networks": {"images": 500, "cutmix": 0.0},
    },
    # The published code divides this data set's 28 pixels by 32.
    "fashionmnist": {"distance": "absolute", "lr_img": 1e-4, "networks": {"images": 500}},
    "svhn": {"networks": {"images": 500}},
    "cifar10": {},
    "cifar100": {},
}


def published_settings(cells: tuple[tuple[str, int], ...]) -> dict[tuple[str, int], dict[str, Any]]:
    """(Data set, IPC) -> published settings that differ from the defaults, for partition 2 and images of 28 and 32 pixels."""
    return {(name, ipc): {"distillation": _SETS[name]} for name, ipc in cells}


SMALL_CELLS = tuple((name, ipc) for name in ("mnist", "fashionmnist", "svhn", "cifar10") for ipc in (1, 10, 50))

SMOKE = {
    "iterations": 3,
    "snapshot_interval": 2,
    "inner": 2,
    "batch_real": 16,
    "networks": {"images": 24, "batch": 8},
}
# Few steps, so large ones.
DEMO: dict[str, Any] = {
    "iterations": 6,
    "snapshot_interval": 2,
    "inner": 20,
    "batch_real": 64,
    "lr_img": 0.2,
    "networks": {"images": 256},
}

IDC = Method(
    name="idc",
    title="IDC",
    summary="Matches gradients of partitioned images in networks that learn from real images meanwhile.",
    reference="Kim et al., Dataset Condensation via Efficient Synthetic-Data Parameterization, ICML 2022",
    settings_model=IDCSettings,
    algorithm="bacon.methods.idc.algorithm:IDC",
    scales={"demo": {"distillation": DEMO}, "smoke": {"distillation": SMOKE}},
    published=published_settings((*SMALL_CELLS, ("cifar100", 10))),
    protocol="p-idc",
    cost=idc_work,
    figure_place=27,
    term_titles={"distance": "Gradient distance"},
)
