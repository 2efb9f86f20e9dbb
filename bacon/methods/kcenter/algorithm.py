"""Greedy K-Center in the features of a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.selection.feature_selection import FeatureSelection
from bacon.distillation.selection.greedy import k_center, nearest_to_mean
from bacon.runtime.draws import device_permutation

if TYPE_CHECKING:
    from bacon.methods.kcenter.record import KCenterSettings


class KCenter(FeatureSelection):
    """The images of each class that greedily cover it."""

    def __init__(self, settings: KCenterSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._first = settings.first

    def pick(self, features: Tensor, count: int, label: int) -> Tensor:
        """The first ``count`` of the greedy order."""
        return k_center(features, count, first=self._first_place(features, label))

    def _first_place(self, features: Tensor, label: int) -> Tensor:
        if self._first == "nearest_mean":
            return nearest_to_mean(features)
        order = device_permutation(
            self.context.seed, "k-center-first", count=len(features), device=features.device, lanes=label
        )
        return order[0]
