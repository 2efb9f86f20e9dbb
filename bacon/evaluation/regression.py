"""Kernel ridge regression from an image set in place of a network that is trained on it: KIP's own evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bacon.networks.infinite_width import dense_kernel
from bacon.runtime.errors import BaconError
from bacon.training.image_set import ImageSet
from bacon.training.ridge_regression import centred_one_hot, dual_weights

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings

MOST_IMAGES = 20_000
"""Of a set: the matrix of its kernel takes 3.2 GB with so many."""


class KernelRegression(nn.Module):
    """What ridge regression from ``train`` predicts: images (B, C, H, W) to (B, classes) float64, the largest being the class.

    Args:
        train: the images, with their soft labels where the settings use them; of others, and of those without, the classes.
        settings: kernel and ridge.
        classes: number of classes.

    Raises:
        BaconError: there are too many images, or the kernel is not positive.
    """

    def __init__(self, train: ImageSet, settings: EvaluationSettings, classes: int) -> None:
        super().__init__()
        if len(train) > MOST_IMAGES:
            raise BaconError(
                f"evaluation.regression: {settings.regression} from {len(train)} images needs a matrix of "
                f"{8 * len(train) ** 2 / 1e9:.0f} GB; at most {MOST_IMAGES} images are allowed: set regression to none here"
            )
        assert settings.regression != "none", "there is a kernel"
        self._kernel = dense_kernel(
            settings.regression, depth=settings.regression_depth, bias_std=settings.regression_bias_std
        )
        self._support = train.normalised(train.images).flatten(1).double()
        self.targets = _targets(train, settings, classes)
        kernel = self._kernel(self._support, self._support)
        self._weights = dual_weights(kernel, self.targets, settings.regression_ridge)
        if not bool(self._weights.isfinite().all()):
            raise BaconError(
                "evaluation.regression: the kernel of the images is not positive beyond rounding; raise "
                f"evaluation.regression_ridge ({settings.regression_ridge:g})"
            )

    def forward(self, images: Tensor) -> Tensor:
        """Predictions (B, classes) float64 of images (B, C, H, W), normalised."""
        return self._kernel(images.flatten(1).double(), self._support) @ self._weights

    @torch.no_grad()
    def fit(self, train: ImageSet) -> tuple[float, float]:
        """On the set itself: half the squared error, mean over images and classes, and accuracy in [0, 1]."""
        predicted = self(train.normalised(train.images))
        correct = (predicted.argmax(dim=1) == train.labels).double().mean()
        return float((predicted - self.targets).square().mean() / 2), float(correct)


def _targets(train: ImageSet, settings: EvaluationSettings, classes: int) -> Tensor:
    """(N, classes) float64, centred: the learned values as they are, probabilities less 1/classes."""
    if settings.labels != "stored" or train.soft is None:
        return centred_one_hot(train.labels, classes)
    soft = train.soft.double()
    return soft if train.soft_kind == "logits" else soft - 1 / classes
