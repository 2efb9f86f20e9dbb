"""Settings of gradient matching (DC, DSA, DCC, DSAC), and how often images and networks take turns. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from bacon.settings.distillation import IterativeSettings
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy


class Loops(NamedTuple):
    """How an iteration alternates.

    Attributes:
        outer: steps of the images.
        inner: epochs that the network is trained on the images after every step of theirs but the last.
    """

    outer: int
    inner: int


PUBLISHED_LOOPS: Mapping[int, Loops] = {
    1: Loops(1, 1),
    10: Loops(10, 50),
    20: Loops(20, 25),
    30: Loops(30, 20),
    40: Loops(40, 15),
    50: Loops(50, 10),
}
"""Images per class -> the published loops; the published code refuses any other number."""


def loops_of(ipc: int) -> Loops:
    """The published loops, and for other numbers of images per class outer = IPC and inner = 500 / IPC; above 50 those of 50.

    The rule gives the published loops of 10, 20 and 50 images.
    """
    published = PUBLISHED_LOOPS.get(min(ipc, 50))
    return published or Loops(ipc, (1000 + ipc) // (2 * ipc))  # rounded half up


class GradientMatchingSettings(IterativeSettings):
    """Settings of DC; methods built on it add theirs."""

    iterations: int = Field(
        1000,
        ge=0,
        description="Distillation iterations, each with a new network (published: 1000 before its evaluation).",
    )
    snapshot_interval: int = Field(
        100,
        ge=0,
        description="Keep a snapshot of the images every N iterations, and at iteration 0 and the end (0: at the end only).",
    )
    init: Literal["noise", "real"] = Field("noise", description="Initial synthetic images: N(0, 1) or real images.")
    batch_real: int = Field(
        256, ge=1, description="Real images per class and step of the images (at most all of them)."
    )
    lr_img: float = Field(0.1, gt=0, description="Learning rate of the synthetic images.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images.")
    outer: int | None = Field(
        None,
        ge=1,
        description="Steps of the images per iteration; null: by the IPC, as published (docs/algorithms.md, DC).",
    )
    inner: int | None = Field(
        None,
        ge=0,
        description="Epochs that the network is trained on the synthetic images between two of their steps; null: by the IPC.",
    )
    lr_net: float = Field(0.01, gt=0, description="Learning rate of the network's training on the synthetic images.")
    batch_train: int = Field(256, ge=1, description="Synthetic images per step of that training.")

    def loops(self, ipc: int) -> Loops:
        """How an iteration alternates for ``ipc`` images per class."""
        usual = loops_of(ipc)
        return Loops(
            usual.outer if self.outer is None else self.outer, usual.inner if self.inner is None else self.inner
        )

    def matching_strategy(self) -> str:
        """DSA operations that real and synthetic images share, joined by _, or ``none``."""
        return "none"

    def sums_classes(self, iteration: int, step: int) -> bool:
        """Whether step ``step`` of iteration ``iteration`` matches the mean gradient of all classes instead of each class's."""
        del iteration, step
        return False

    def real_images_needed(self, ipc: int) -> int:
        """None for a start from noise."""
        return 0 if self.init == "noise" else super().real_images_needed(ipc)


class SiameseSettings(GradientMatchingSettings):
    """Gradient matching with DSA: in the comparison of gradients, and in the training of networks on the synthetic images."""

    init: Literal["noise", "real"] = Field("real", description="Initial synthetic images: N(0, 1) or real images.")
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    def matching_strategy(self) -> str:
        """``dsa_strategy``."""
        return self.dsa_strategy


class ContrastiveSettings(GradientMatchingSettings):
    """Gradient matching that compares the mean gradients of all classes after a warm-up."""

    init: Literal["noise", "real"] = Field("real", description="Initial synthetic images: N(0, 1) or real images.")
    warmup_iterations: int = Field(
        250,
        ge=0,
        description="From this iteration on, the mean gradient of all classes is matched instead of each class's.",
    )
    warmup_steps: int = Field(
        10, ge=0, description="Before that iteration, it is matched from this step of an iteration on (counted from 0)."
    )

    def sums_classes(self, iteration: int, step: int) -> bool:
        """Whether the warm-up is over."""
        return iteration >= self.warmup_iterations or step >= self.warmup_steps
