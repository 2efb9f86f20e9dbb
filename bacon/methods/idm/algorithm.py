"""IDM: mean matching in a queue of partly trained networks, and a cross-entropy weighted by how well they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.mean_matching import MeanMatching
from bacon.distillation.matching.weighted_cross_entropy import pool_and_terms

if TYPE_CHECKING:
    from bacon.methods.idm.record import IDMSettings


class IDM(EmbeddingMatching):
    """Mean matching with the accuracy-weighted cross-entropy."""

    recordable: ClassVar[bool] = True

    def __init__(self, settings: IDMSettings, context: Context) -> None:
        pool, terms = pool_and_terms(settings, settings.networks, context)
        super().__init__(settings, context, loss=MeanMatching(), pool=pool, extra=terms)
