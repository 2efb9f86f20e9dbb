"""Whether two samples of networks, trained on the same distilled set in the same way, agree (docs/statistics.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from bacon.runtime.errors import BaconError


@dataclass(frozen=True, kw_only=True)
class AccuracySample:
    """Test accuracies of networks, in [0, 1].

    Attributes:
        mean: their mean.
        sd: their sample standard deviation; ``None`` of a single one.
        n: how many.
    """

    mean: float
    sd: float | None
    n: int


def agreement_interval(
    stated: AccuracySample, found: AccuracySample, *, confidence: float, resolution: float
) -> tuple[float, float]:
    """Where the mean of ``found`` lies with probability ``confidence`` if both samples are of the same distribution.

    The interval of Student's two-sample t test with pooled variance, about the stated mean: one set and one protocol have one
    spread. It accounts for both samples, and needs two networks in only one of them.

    Args:
        stated: what a card states.
        found: what was trained now.
        confidence: in (0, 1).
        resolution: accuracy of one test image; the interval reaches at least so far on either side, because arithmetic alone
            can turn one image over.

    Returns:
        (low, high), cut to [0, 1].

    Raises:
        BaconError: both samples are single networks, whose spread is unknown.
    """
    df = stated.n + found.n - 2
    if df < 1:
        raise BaconError(
            "one network in the card and one trained now have no spread to compare; give --networks 2 or more"
        )
    squares = sum((one.n - 1) * (one.sd or 0.0) ** 2 for one in (stated, found))
    error = math.sqrt(squares / df * (1 / stated.n + 1 / found.n))
    half = max(float(stats.t.ppf(0.5 + confidence / 2, df)) * error, resolution)
    return max(0.0, stated.mean - half), min(1.0, stated.mean + half)
