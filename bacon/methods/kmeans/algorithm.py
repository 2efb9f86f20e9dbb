"""k-means in the features of a trained network, and the image nearest each centre."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.selection.feature_selection import FeatureSelection
from bacon.distillation.selection.greedy import squared_distances
from bacon.runtime.draws import words

if TYPE_CHECKING:
    from bacon.methods.kmeans.record import KMeansSettings


class KMeansSelection(FeatureSelection):
    """As many clusters of each class as images, and of each the image nearest its centre; the largest cluster first."""

    def __init__(self, settings: KMeansSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._settings = settings

    def pick(self, features: Tensor, count: int, label: int) -> Tensor:
        """The row nearest each centre that no larger cluster has taken."""
        return nearest_rows(features, self._centres(features, count, label).to(features))

    def _centres(self, features: Tensor, count: int, label: int) -> Tensor:
        """(count, D) on the CPU, those of large clusters first."""
        state = int(words(self.context.seed, "k-means", count=1, lanes=label)[0])
        clustering = KMeans(
            count, n_init=self._settings.restarts, max_iter=self._settings.max_iterations, random_state=state
        )
        with warnings.catch_warnings():
            # Fewer different images than clusters: centres coincide, and nearest_rows takes one copy after the other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            clusters = clustering.fit_predict(features.cpu().numpy())
        sizes = np.bincount(clusters, minlength=count)
        return torch.from_numpy(clustering.cluster_centers_[np.argsort(-sizes, kind="stable")])


def nearest_rows(features: Tensor, centres: Tensor) -> Tensor:
    """(K,) int64: for each of the centres (K, D) in turn, the nearest row of ``features`` (N, D) not yet taken; K at most N."""
    taken = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    chosen = []
    for centre in centres:
        place = squared_distances(features, centre).masked_fill_(taken, torch.inf).argmin()
        taken.index_fill_(0, place, True)
        chosen.append(place)
    return torch.stack(chosen)
