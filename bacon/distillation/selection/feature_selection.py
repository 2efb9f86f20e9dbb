"""Choosing real images by the features that a network trained on the real set gives them."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.selection.class_selection import ClassSelection, network_of_seed
from bacon.networks.network import Network
from bacon.runtime.logs import get_logger
from bacon.settings.feature_selection import FEATURE_NETWORKS

if TYPE_CHECKING:
    from bacon.settings.feature_selection import FeatureSelectionSettings

log = get_logger(__name__)


class FeatureSelection(ClassSelection):
    """A selection in the embeddings of one trained network, of images that are not augmented."""

    def __init__(self, settings: FeatureSelectionSettings, context: Context) -> None:
        super().__init__(context, partition=settings.partition)

    @cached_property
    def _network(self) -> Network:
        runs, context = self.context.inputs[FEATURE_NETWORKS], self.context
        if context.seed >= len(runs):
            log.warning(
                "%s: there are %d feature networks, so seed %d has the one of seed %d, and may choose the same images; raise "
                "distillation.feature_networks.runs",
                context.cell, len(runs), context.seed, context.seed % len(runs),
            )  # fmt: skip
        return network_of_seed(runs, context)

    def choose(self, label: int, count: int) -> Tensor:
        """Positions (count,) by the features of a class."""
        features = self.context.memory.within(lambda: self._features(label), iteration=0, device=self.context.device)
        return self.pick(features, count, label)

    @abstractmethod
    def pick(self, features: Tensor, count: int, label: int) -> Tensor:
        """(count,) int64: distinct rows of the features (N, D) of class ``label``."""

    def _features(self, label: int) -> Tensor:
        real = self.context.real
        at_once = self.context.memory.images(real.shape)
        return torch.cat([self._network.embed(real.batch(some)) for some in self.places(label).split(at_once)])
