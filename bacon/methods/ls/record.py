"""LS, label solve (Nguyen et al., ICLR 2021): labels of fixed real images, solved for in closed form."""

from __future__ import annotations

from typing import Any

from bacon.methods.base import CellSize, Method, Work
from bacon.methods.kernel_work import regression_work
from bacon.settings.distillation import DistillationSettings
from bacon.settings.kernels import KernelSettings


class LSSettings(KernelSettings, DistillationSettings):
    """Settings of LS."""


def work(settings: LSSettings, size: CellSize) -> Work:
    """The kernel of the set with all real images, once."""
    return regression_work(settings, size, iterations=1, batch_real=size.train)


SCALES: dict[str, dict[str, Any]] = {"smoke": {"distillation": {"kernel_networks": 2}}}

LS = Method(
    name="ls",
    title="LS",
    summary="Solves for the labels of random real images with which kernel ridge regression predicts all real images best.",
    reference="Nguyen et al., Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021",
    settings_model=LSSettings,
    algorithm="bacon.methods.ls.algorithm:LS",
    scales=SCALES,
    protocol="p-kip",
    cost=work,
    figure_place=40,
)
