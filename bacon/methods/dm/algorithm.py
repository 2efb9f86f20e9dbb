"""DM: the squared distance of mean embeddings, in a fresh random network per iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.mean_matching import MeanMatching
from bacon.distillation.matching.weighted_cross_entropy import pool_and_terms

if TYPE_CHECKING:
    from bacon.methods.dm.record import DMSettings


class DM(EmbeddingMatching):
    """Mean matching in fresh networks; in IDM's queue, with its cross-entropy, where the settings say so."""

    recordable: ClassVar[bool] = True

    def __init__(self, settings: DMSettings, context: Context) -> None:
        pool, terms = pool_and_terms(settings, settings.networks, context)
        super().__init__(settings, context, loss=MeanMatching(), pool=pool, extra=terms)
