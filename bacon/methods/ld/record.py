"""LD, label distillation (Bohdal et al., 2020): soft labels of fixed real images."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bacon.methods.base import CellSize, Method, Passes, Work
from bacon.methods.trajectory_work import STEP_PASSES
from bacon.settings.distillation import IterativeSettings
from bacon.settings.protocol_data import images_per_step


class LDSettings(IterativeSettings):
    """Settings of LD."""

    iterations: int = Field(17600, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        1760,
        ge=0,
        description="Keep a snapshot of the labels every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    batch_syn: int | None = Field(
        None,
        ge=1,
        description="Images per step; null: 10 of up to 20 images, 25 of up to 50, 50 of more; 100 with 100 classes.",
    )
    batch_real: int = Field(1024, ge=1, description="Real images of an iteration, of all classes (at most all).")
    inner: Literal["gradient_step", "ridge_regression"] = Field(
        "gradient_step",
        description="What the gradient of the labels goes through: a step of gradient descent of the whole network (second "
        "order), or a classifier on its features that is solved for by ridge regression.",
    )
    lr_inner: float = Field(0.01, gt=0, description="inner gradient_step: learning rate of that step.")
    ridge: float = Field(1.0, gt=0, description="inner ridge_regression: the ridge.")
    classifier_share: float = Field(
        0.01,
        gt=0,
        le=1,
        description="inner ridge_regression: share of a step's solution in the classifier, a moving average.",
    )
    lr_scale: float = Field(
        0.01, gt=0, description="inner ridge_regression: learning rate of Adam on the factor of the logits."
    )
    lr_label: float = Field(1e-3, gt=0, description="Learning rate of Adam on the labels.")
    lr_student: float = Field(1e-3, gt=0, description="Learning rate of Adam on the network that is trained along.")
    patience: int = Field(
        50,
        ge=1,
        description="A new network begins when the mean error over N iterations has had no new low for N iterations.",
    )
    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of each class's training images that the labels are chosen by and not learned from; 0: the last "
        "labels are taken.",
    )
    selection_interval: int = Field(
        220, ge=1, description="Labels are tried on the held-out images every N iterations (published: 5 epochs)."
    )

    def inner_batch(self, images: int, classes: int) -> int:
        """Images per step of a network, of ``images`` in all."""
        return min(self.batch_syn or images_per_step(images, classes), images)


def work(settings: LDSettings, size: CellSize) -> Work:
    """Per iteration some images and a real batch; now and then a network of its own.

    The step is differentiated twice, the real batch once; by ridge regression, the real batch is only embedded, and the images
    are embedded twice.
    """
    images = size.ipc * size.classes
    batch, real = settings.inner_batch(images, size.classes), min(settings.batch_real, size.train)
    passes: tuple[Passes, ...] = (
        Passes(kind="training", images=batch, count=STEP_PASSES[False]),
        Passes(kind="training", images=real),
    )
    if settings.inner == "ridge_regression":
        passes = (Passes(kind="forward", images=batch + real), Passes(kind="training", images=batch))
    return Work(iterations=settings.iterations, passes=passes)


def _published(iterations: int, patience: int, interval: int) -> dict[str, Any]:
    own = {"iterations": iterations, "snapshot_interval": iterations // 10, "patience": patience}
    return {"distillation": own | {"selection_interval": interval}}


# 400 epochs of 49 (MNIST) and 44 (CIFAR) batches, twice as many with more images; labels are tried every five epochs.
# The same for both forms of the inner problem.
PUBLISHED = {
    **{("mnist", ipc): _published(19600, 50, 245) for ipc in (1, 10)},
    ("mnist", 50): _published(39200, 200, 245),
    **{("cifar10", ipc): _published(17600, 50, 220) for ipc in (1, 10)},
    ("cifar10", 50): _published(35200, 200, 220),
    ("cifar100", 1): _published(35200, 100, 220),
}

SCALES: dict[str, dict[str, Any]] = {
    "demo": {
        "distillation": {
            "iterations": 400,
            "snapshot_interval": 200,
            "batch_real": 256,
            "lr_label": 0.01,
            "patience": 20,
            "selection_interval": 50,
        }
    },
    "smoke": {
        "distillation": {
            "iterations": 6,
            "snapshot_interval": 3,
            "batch_real": 16,
            "patience": 1,
            "selection_interval": 2,
        }
    },
}

LD = Method(
    name="ld",
    title="LD",
    summary="Learns soft labels of fixed real images, through one step of a network that is trained along with them, "
    "or through ridge regression on its features.",
    reference="Bohdal et al., Flexible Dataset Distillation: Learn Labels Instead of Images, arXiv 2006.08572",
    settings_model=LDSettings,
    algorithm="bacon.methods.ld.inner:label_distillation",
    scales=SCALES,
    published=PUBLISHED,
    protocol="p-ld",
    cost=work,
    figure_place=17,
    term_titles={"real_loss": "Cross-entropy on real images (nats)", "real_error": "Error on real images"},
)
