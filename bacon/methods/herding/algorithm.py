"""Herding in the features of a trained network."""

from __future__ import annotations

from torch import Tensor

from bacon.distillation.selection.feature_selection import FeatureSelection
from bacon.distillation.selection.greedy import herding


class Herding(FeatureSelection):
    """The images of each class whose running mean is nearest the class mean."""

    def pick(self, features: Tensor, count: int, label: int) -> Tensor:
        """The first ``count`` of the order of herding."""
        del label
        return herding(features, count)
