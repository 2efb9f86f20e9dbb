"""FRePo, neural feature regression with pooling (Zhou et al., NeurIPS 2022): images and labels for regression on features."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.settings.distillation import IterativeSettings
from bacon.settings.network import NetworkSettings

_NETWORK_COST = 3  # a pass of FRePo's network in passes of ConvNet-3, at 32x32
_KEPT = 1024  # of so many images of the set the graph is kept, half of what `run.chunk_images` is by default


class FRePoSettings(IterativeSettings):
    """Settings of FRePo."""

    iterations: int = Field(500_000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        50_000,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    network: NetworkSettings = Field(
        NetworkSettings(architecture="frepo_convnet", norm="batch"),
        description="Network of the pool. FRePo's own has 128, 256 and 512 channels: its results are not the usual ConvNet's.",
    )
    cell_network: bool = Field(False, description="Distil in the network of the cell instead of `network`.")
    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")
    batch_real: int = Field(1024, ge=1, description="Real images of an iteration, of all classes (at most all).")
    lr: float = Field(
        3e-4, gt=0, description="Learning rate of LAMB on images and labels; it falls to a tenth (cosine)."
    )
    learn_labels: bool = Field(True, description="Learn the labels too.")
    mirrored: bool = Field(
        True, description="Regression is on the images and their mirror images; published by data set and IPC."
    )
    ridge: float = Field(1e-6, gt=0, description="Ridge of the regression, times the mean diagonal of the kernel.")
    networks: int = Field(10, ge=1, le=1000, description="Networks in the pool.")
    network_steps: int = Field(
        100, ge=1, description="Steps after which a network of the pool is replaced by a new one."
    )
    batch_syn: int = Field(1000, ge=1, description="Synthetic images per step of a network (at most all).")
    lr_net: float = Field(3e-4, gt=0, description="Learning rate of Adam on the networks of the pool.")

    def own_network(self) -> NetworkSettings | None:
        """``network``, unless it is the cell's."""
        return None if self.cell_network else self.network

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else ipc


def work(settings: FRePoSettings, size: CellSize) -> Work:
    """Per iteration: features of a real batch and of all images, with their gradient, and one step of a network.

    Where the images are too many for their graph to be kept, their features are computed once more.
    """
    images = size.ipc * size.classes
    factor = 1 if settings.cell_network else _NETWORK_COST
    supported = images * (2 if settings.mirrored else 1)
    again = 0 if supported <= _KEPT else supported
    passes = (
        Passes(kind="forward", images=factor * (min(settings.batch_real, size.train) + again)),
        Passes(kind="image_gradient", images=factor * supported),
        Passes(kind="training", images=factor * min(settings.batch_syn, images)),
    )
    return Work(iterations=settings.iterations, passes=passes)


_PLAIN = {"distillation": {"mirrored": False}}
_WHITENED = {"preprocessing": {"zca": True}}

# The published command is the same everywhere; whether mirror images are added is not, and ZCA whitening is of colours.
PUBLISHED: dict[tuple[str, int], dict[str, Any]] = {
    **{(name, ipc): _PLAIN for name in ("mnist", "fashionmnist") for ipc in (1, 10, 50)},
    **{("cifar10", ipc): _WHITENED for ipc in (1, 10, 50)},
    ("cifar100", 1): _WHITENED,
    **{("cifar100", ipc): _PLAIN | _WHITENED for ipc in (10, 50)},
    ("tinyimagenet", 1): _WHITENED,
    ("tinyimagenet", 10): _PLAIN | _WHITENED,
}

SCALES: dict[str, dict[str, Any]] = {
    "demo": {
        "distillation": {
            "iterations": 300,
            "snapshot_interval": 100,
            "network": {"architecture": "frepo_convnet", "norm": "batch", "width": 16},
            "batch_real": 256,
            "lr": 0.01,
            "networks": 4,
        }
    },
    "smoke": {
        "distillation": {
            "iterations": 4,
            "snapshot_interval": 2,
            "network": {"architecture": "frepo_convnet", "norm": "batch", "width": 4, "depth": 2},
            "batch_real": 20,
            "networks": 2,
            "network_steps": 2,
        }
    },
}

FREPO = Method(
    name="frepo",
    title="FRePo",
    summary="Learns images and labels for ridge regression on the features of networks that are trained on them.",
    reference="Zhou et al., Dataset Distillation using Neural Feature Regression, NeurIPS 2022",
    settings_model=FRePoSettings,
    algorithm="bacon.methods.frepo.algorithm:FRePo",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-frepo",
    cost=work,
    figure_place=38,
    term_titles={
        "loss": "Squared error of the regression",
        "margin": "Margin of the labels",
        "accuracy": "Accuracy of the regression",
    },
)
