"""LS: the labels of fixed real images with which kernel regression predicts all real images best, in closed form."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context, Selection
from bacon.distillation.initialisation import real_images
from bacon.distillation.kernels import ChosenKernel
from bacon.networks.infinite_width import Kernel
from bacon.training.ridge_regression import centred_one_hot, with_ridge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bacon.methods.ls.record import LSSettings

_PIECE = 5000  # real images at a time


class LS(Selection):
    """Label solving: the images are those that Random selects.

    Args:
        settings: the method's.
        context: what it is given.
    """

    def __init__(self, settings: LSSettings, context: Context) -> None:
        super().__init__(context)
        self.settings = settings
        self.kernel = ChosenKernel(settings, context)

    def select(self) -> Tensor:
        """(classes * ipc, C, H, W) normalised, in class order."""
        return real_images(self.context.real, ipc=self.context.ipc, partition=1, seed=self.context.seed)

    def synthetic(self) -> SyntheticSet:
        """The chosen images with their labels."""
        return replace(super().synthetic(), soft=self.labels.float(), soft_kind="logits")

    @cached_property
    @torch.no_grad()
    def labels(self) -> Tensor:
        """(M, K) float64."""
        representation, real = self.kernel.representation(), self.context.real
        size = min(_PIECE, self.context.memory.images(real.shape))
        places = torch.arange(len(real.labels), device=real.device).split(size)
        pieces = (
            (representation.of(real.batch(some)), centred_one_hot(real.labels[some], real.classes)) for some in places
        )
        return solved_labels(self.kernel.of, representation.of(self._selected), pieces, ridge=self.settings.ridge)


def solved_labels(kernel: Kernel, support: Tensor, real: Iterable[tuple[Tensor, Tensor]], *, ridge: float) -> Tensor:
    """The labels Y of a set for which regression from it has the least squared error on the real images.

    With K the set's kernel, k that of the real images T with the set, and r = ridge tr(K) / n, what is predicted of them is
    k W with W = (K + r I)^-1 Y. The best W = (k^T k + e I)^-1 k^T T has a ridge e = ridge / n of its own; Y = (K + r I) W.

    Args:
        kernel: of representations.
        support: (n, P) float64, representations of the set.
        real: pieces (B, P) float64 of representations of the real images, with targets (B, C) float64.
        ridge: of both.

    Returns:
        (n, C) float64.
    """
    count = len(support)
    squares, products = support.new_zeros(count, count), support.new_zeros(())
    for images, wanted in real:
        between = kernel(images, support)
        squares, products = squares + between.T @ between, products + between.T @ wanted
    # By its eigenvalues, of which those of equal images are 0 but for rounding: none may be below that.
    values, vectors = torch.linalg.eigh(squares)
    least = values[-1] * count * torch.finfo(values.dtype).eps
    weights = vectors @ ((vectors.T @ products) / (values + ridge / count).clamp_min(least)[:, None])
    labels: Tensor = with_ridge(kernel(support, support), ridge) @ weights
    return labels
