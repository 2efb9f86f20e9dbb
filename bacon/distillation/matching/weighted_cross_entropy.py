"""IDM's queue of partly trained networks, and its cross-entropy weighted by how well they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.matching_losses import Embedded, ExtraTerm
from bacon.distillation.network_queue import Queue
from bacon.distillation.pools import DrawnNetwork, Fresh, NetworkPool
from bacon.training.steps import worth_recording

if TYPE_CHECKING:
    from bacon.settings.distillation import MatchingSettings
    from bacon.settings.pools import FreshNetworks, WeightedQueue


class AccuracyWeightedCrossEntropy(ExtraTerm):
    """Cross-entropy of the synthetic images' logits, weighted by the network's running training accuracy in percent.

    Args:
        weight: factor of the accuracy (``ce_weight``).
    """

    name = "ce"
    figures = ("queue_accuracy",)

    def __init__(self, weight: float) -> None:
        self._weight = weight

    def weight(self, drawn: DrawnNetwork) -> Tensor:
        """``ce_weight`` times the accuracy in percent, 0-d."""
        return self._weight * drawn.accuracy

    def values(self, embedded: Embedded) -> Tensor:
        """(K,) mean cross-entropy of each class's synthetic images."""
        losses: Tensor = F.cross_entropy(embedded.logits(), embedded.labels(), reduction="none")
        return losses.view(embedded.shape).mean(dim=1)

    def recorded(self, drawn: DrawnNetwork) -> Mapping[str, Tensor]:
        """``queue_accuracy``: the accuracy in percent."""
        return {"queue_accuracy": drawn.accuracy}


def pool_and_terms(
    settings: MatchingSettings, networks: FreshNetworks | WeightedQueue, context: Context
) -> tuple[NetworkPool, tuple[ExtraTerm, ...]]:
    """IDM's queue and its cross-entropy; fresh networks, which are trained on nothing, and no such term.

    Fresh networks with batch norm have no other statistics than those of the batch at hand, as in the published code of DM.
    Those of the queue have the running statistics of their training.
    """
    if networks.source == "fresh":
        batch_norm = context.network.norm == "batch"
        return Fresh(context.build, device=context.device, dtype=context.real.dtype, training=batch_norm), ()
    steps = settings.iterations * networks.networks_trained * networks.model_train_steps
    # Nothing is recorded of images that the host gathers.
    shared = worth_recording(context.device, steps) and not context.real.is_streamed
    pool = Queue(networks, context.build, context.real, seed=context.seed, shared=shared)
    return pool, (AccuracyWeightedCrossEntropy(networks.ce_weight),)
