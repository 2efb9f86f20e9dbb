"""KIP, kernel inducing points (Nguyen et al., ICLR 2021): images that kernel ridge regression learns from best."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bacon.methods.base import CellSize, Method, Work
from bacon.methods.kernel_work import regression_work
from bacon.settings.distillation import IterativeSettings
from bacon.settings.kernels import KernelSettings


class KIPSettings(KernelSettings, IterativeSettings):
    """Settings of KIP."""

    iterations: int = Field(1000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        100,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")
    batch_real: int = Field(
        5000, ge=1, description="Real images of an iteration, about as many of each class (at most all of it)."
    )
    lr: float = Field(
        0.04, gt=0, description="Learning rate of Adam on the images, and on the labels if they are learned."
    )
    learn_labels: bool = Field(False, description="Learn the labels too; otherwise they are the classes.")

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else ipc


def work(settings: KIPSettings, size: CellSize) -> Work:
    """Per iteration: the kernel of the set with real images, and its gradient."""
    return regression_work(settings, size, iterations=settings.iterations, batch_real=settings.batch_real)


# With the kernel of a fully connected network images are standardised by channel; only the work on convolutional kernels, which
# is not this method, whitens them.
PUBLISHED: dict[tuple[str, int], dict[str, Any]] = {
    **{("mnist", ipc): {"distillation": {"lr": 0.01}} for ipc in (1, 10, 50)},
    **{("cifar10", ipc): {"distillation": {"lr": 0.04}} for ipc in (1, 10, 50)},
}

SCALES: dict[str, dict[str, Any]] = {
    "demo": {"distillation": {"iterations": 200, "snapshot_interval": 100, "batch_real": 1000}},
    "smoke": {"distillation": {"iterations": 4, "snapshot_interval": 2, "batch_real": 20, "kernel_networks": 2}},
}

KIP = Method(
    name="kip",
    title="KIP",
    summary="Learns images on which ridge regression with a neural tangent kernel predicts real images best.",
    reference="Nguyen et al., Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021",
    settings_model=KIPSettings,
    algorithm="bacon.methods.kip.algorithm:KIP",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-kip",
    cost=work,
    figure_place=39,
    term_titles={"loss": "Squared error of the regression", "accuracy": "Accuracy of the regression"},
)
