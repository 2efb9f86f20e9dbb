"""Embedding matching: features are matched and images moved by momentum steps, all classes in one step (docs/algorithms.md).

The published code takes one step per class over the whole tensor. The network is frozen and its norm has no batch dependence,
so the classes' gradients are independent of each other, and the loop over classes equals one step with the recurrence in
:func:`bacon.distillation.variables.image_step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.feature_matching import FeatureMatching
from bacon.distillation.matching.matching_losses import ExtraTerm, MatchingLoss
from bacon.distillation.pools import Fresh, NetworkPool
from bacon.distillation.siamese import Siamese, dsa_siamese
from bacon.distillation.variables import MomentumUpdate, Variable, VariableAlgorithm, Variables

if TYPE_CHECKING:
    from bacon.settings.distillation import MatchingSettings


class EmbeddingMatching(VariableAlgorithm, FeatureMatching):
    """An algorithm that matches features class by class under DSA; methods derive from it and choose its parts.

    Args:
        settings: the method's.
        context: what it is given.
        loss: matches the features.
        pool: where the embedding networks come from.
        extra: further terms of the loss.
    """

    settings: MatchingSettings

    def __init__(
        self,
        settings: MatchingSettings,
        context: Context,
        *,
        loss: MatchingLoss[Any],
        pool: NetworkPool,
        extra: Sequence[ExtraTerm] = (),
    ) -> None:
        mixes_images = isinstance(pool, Fresh) and pool.mixes_images
        super().__init__(settings, context, loss=loss, pool=pool, extra=extra, mixes_images=mixes_images)
        turns = self.real.classes if settings.update == "per_class" else 1
        update = MomentumUpdate(settings.lr_img, momentum=settings.momentum, turns=turns)
        self.variables = Variables(
            classes=context.classes, images=Variable(self.initial_images(), update), partition=settings.partition
        )

    def siamese(self, iteration: int, classes: Sequence[int]) -> Siamese:
        """DSA, one draw per iteration and class."""
        strategy, seed = self.settings.dsa_strategy, self.context.seed
        return dsa_siamese(strategy, seed, iteration, classes, self.real, self.draws)

    def state_dict(self) -> dict[str, Any]:
        """Images, momentum and pool."""
        return super().state_dict() | {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        super().load_state_dict(state)
        self.pool.load_state_dict(state["pool"])

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: match, move the images, let the pool go on."""
        self.pool.begin(iteration)
        drawn = self.pool.draw(iteration)
        self.pool.start(iteration)
        gradient, terms = self.matched(iteration, drawn)
        self.variables.step({"images": gradient})
        self.pool.advance(iteration, self.synthetic)
        return terms
