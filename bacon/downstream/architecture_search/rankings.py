"""How well a proxy ranks candidates: correlations with the reference, and what the proxy's choice is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A search, judged by the candidates' networks trained on the whole set.

    Attributes:
        spearman: rank correlation of proxy and reference accuracy over all candidates; ``None`` where either is constant.
        kendall: Kendall's tau-b of the same.
        top_spearman: Spearman's over the candidates that the proxy ranks first (DC; Zhao et al., ICLR 2021).
        chosen: place of the candidate that the proxy ranks first; of equals the first in the order of the space.
        chosen_accuracy: test accuracy of its network trained on the whole set, in [0, 1].
        best_accuracy: test accuracy of the network of the candidate that the reference ranks first.
        chosen_rank: how many candidates have a better reference, plus 1.
    """

    spearman: float | None
    kendall: float | None
    top_spearman: float | None
    chosen: int
    chosen_accuracy: float
    best_accuracy: float
    chosen_rank: int


def rank(proxy: Vector, reference: Vector, test: Vector, *, top: int) -> Ranking:
    """Judge a search.

    Args:
        proxy: (A,) accuracy of each candidate's network trained on the small set, on the images that choose.
        reference: (A,) that of its networks trained on the whole set, on the same images.
        test: (A,) accuracy of the latter on the test images, which choose nothing.
        top: candidates that the second correlation is over; all, where there are no more.
    """
    first = np.argsort(-proxy, kind="stable")[:top]
    chosen, best = int(np.argmax(proxy)), int(np.argmax(reference))
    return Ranking(
        spearman=_correlation(stats.spearmanr, proxy, reference),
        kendall=_correlation(stats.kendalltau, proxy, reference),
        top_spearman=_correlation(stats.spearmanr, proxy[first], reference[first]),
        chosen=chosen,
        chosen_accuracy=float(test[chosen]),
        best_accuracy=float(test[best]),
        chosen_rank=1 + int((reference > reference[chosen]).sum()),
    )


def _correlation(of: object, first: Vector, second: Vector) -> float | None:
    """``None`` where it is not defined: of constant values, or of fewer than two."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    assert callable(of)
    return float(of(first, second).statistic)
