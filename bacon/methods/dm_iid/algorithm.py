"""IID's two losses, added to those of its host, DM or IDM (docs/algorithms.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import Embedded, ExtraTerm, MatchingLoss, RealPiece
from bacon.distillation.matching.weighted_cross_entropy import pool_and_terms
from bacon.distillation.pools import DrawnNetwork
from bacon.distillation.trained_pools import TrainedPool
from bacon.methods.dm_iid.record import EXTRACTORS
from bacon.networks.network import Network
from bacon.runtime.logs import get_logger

if TYPE_CHECKING:
    from bacon.methods.dm_iid.record import DmIidSettings
    from bacon.methods.idm_iid.record import IdmIidSettings

log = get_logger(__name__)

_IPC, _PLACES = 10, 16  # for which the published weights were chosen


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What is matched of each class.

    Attributes:
        mean: (K, D) float, mean embedding.
        covariance: (K, C', C') float, of :func:`covariance`.
    """

    mean: Tensor
    covariance: Tensor


class MomentMatching(MatchingLoss[Moments]):
    """``||mu_T - mu_S||^2 + w ||Cov_T - Cov_S||_F^2`` of each class.

    Args:
        channels: C', of the maps that an embedding consists of.
        weight: w.
    """

    def __init__(self, *, channels: int, weight: float) -> None:
        self.channels, self.weight = channels, weight

    def reduce(self, real: Iterable[RealPiece], classes: int) -> Moments:
        """Mean and covariance of the real embeddings."""
        features = [piece.features for piece in real]
        mean = torch.cat([each.mean() for each in features])
        assert len(mean) == classes, "pieces have whole classes"
        covariances = [covariance(each.embedding, self.channels) for each in features]
        return Moments(mean=mean, covariance=torch.cat(covariances))

    def weights(self) -> dict[str, float]:
        """``mean`` 1, ``covariance`` w."""
        return {"mean": 1.0, "covariance": self.weight}

    def terms(self, real: Moments, synthetic: Features) -> dict[str, Tensor]:
        """``{"mean", "covariance"}``, each (K,)."""
        own = covariance(synthetic.embedding, self.channels)
        return {
            "mean": (real.mean - synthetic.mean()).square().sum(dim=1),
            "covariance": (real.covariance - own).square().sum(dim=(1, 2)),
        }


def covariance(embedding: Tensor, channels: int) -> Tensor:
    """Covariance of the channels of local features: the mean over the images of ``f f^T``, summed over the places of a map.

    Args:
        embedding: (K, n, D) float, flattened maps (C', places) f; centred here by the mean of the n images.
        channels: C'.

    Returns:
        (K, C', C') float; zeros for a single image.
    """
    centred = (embedding - embedding.mean(dim=1, keepdim=True)).unflatten(2, (channels, -1))
    flat = centred.transpose(1, 2).flatten(2)  # (K, C', n places)
    found: Tensor = flat @ flat.mT / embedding.shape[1]
    return found


class Centralisation(ExtraTerm):
    """Squared distances of a class's images to their mean, in the features of networks trained on the real set; a sum.

    Args:
        pool: the networks.
        weight: of the term.
    """

    name = "centralisation"

    def __init__(self, pool: TrainedPool, weight: float) -> None:
        self._pool, self._weight = pool, weight

    def weight(self, drawn: DrawnNetwork) -> float:
        """The same in every iteration."""
        del drawn
        return self._weight

    def network(self, iteration: int) -> Network:
        """One of the trained networks."""
        return self._pool.draw(iteration).network

    def values(self, embedded: Embedded) -> Tensor:
        """(K,) of each class's augmented synthetic images."""
        extractor = embedded.beside[self.name]
        features = extractor.embed(embedded.images).unflatten(0, embedded.shape)  # (K, n, D)
        spread: Tensor = (features - features.mean(dim=1, keepdim=True)).square().sum(dim=(1, 2))
        return spread


class Iid(EmbeddingMatching):
    """The host with both terms."""

    recordable: ClassVar[bool] = True

    def __init__(self, settings: DmIidSettings | IdmIidSettings, context: Context) -> None:
        pool, terms = pool_and_terms(settings, settings.networks, context)
        channels, places = _last_maps(context)
        weights = settings.covariance_weight, settings.centralisation_weight
        if settings.weights == "scaled":
            weights = weights[0] * (_PLACES / places) ** 2, weights[1] * _IPC / context.ipc
        log.info("weights: covariance matching %g, class centralisation %g", *weights)
        extractors = TrainedPool(
            context.inputs[EXTRACTORS],
            seed=context.seed,
            device=context.device,
            dtype=context.real.dtype,
            purpose="iid-extractor",
        )
        super().__init__(
            settings,
            context,
            loss=MomentMatching(channels=channels, weight=weights[0]),
            pool=pool,
            extra=(Centralisation(extractors, weights[1]), *terms),
        )


@torch.no_grad()
def _last_maps(context: Context) -> tuple[int, int]:
    """Channels, and places of each map, of the maps that an embedding consists of; 1 place where there are no maps."""
    maps = context.build(0).eval().maps(context.real.batch(context.real.index([0])))
    return maps.shape[1], maps[0, 0].numel()
