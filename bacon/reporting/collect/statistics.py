"""Statistics of nested results: evaluation networks within distillation seeds. docs/statistics.md gives every choice.

The model is a one-way layout with random effects: network j trained on the images of distillation seed i reaches
``y_ij = mu + a_i + e_ij``. The images of one seed are shared by its networks, so networks of one seed are not independent
evidence about the method: intervals and tests use one number per distillation seed, the mean over its networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln, stdtr

CONFIDENCE = 0.95
PERCENT = (0.0, 100.0)
"""Where an accuracy lies, in percent."""
POINTS = (-100.0, 100.0)
"""Where a difference of two accuracies lies, in percentage points."""
ONE_SEED = "one common distillation seed"
EQUAL = "the same difference on every common seed, but for rounding"
# Accuracies count images: seed means that differ at all differ by more than this share, with fewer than a billion test images
# times networks. Sums and differences of floats are off by a millionth of it.
ROUNDING = 1e-9
NAN = float("nan")
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TwoLevel:
    """Summary of one cell group; percent or points throughout, NaN where the data cannot tell.

    Attributes:
        mean: mean of the seed means, each seed with the same weight.
        sd: sample standard deviation over all networks, whatever their seed (what papers print).
        sd_distillation: square root of the variance component of distillation seeds, ANOVA estimator, 0 when negative;
            NaN with one seed, or with one network per seed, where the components cannot be told apart.
        sd_evaluation: square root of the component of evaluation networks (pooled within seeds); NaN with one network a seed.
        ci_low: lower end of the 95 % confidence interval of the mean, within 0 to 100 percent.
        ci_high: upper end.
        df: degrees of freedom of the interval: distillation seeds - 1; for a training set that no seed made, networks - 1.
        n: networks.
        seeds: distillation seeds; 0 where there are none.
    """

    mean: float
    sd: float
    sd_distillation: float
    sd_evaluation: float
    ci_low: float
    ci_high: float
    df: int
    n: int
    seeds: int


def two_level(groups: Sequence[Vector], *, nested: bool) -> TwoLevel:
    """Summarise networks grouped by distillation seed.

    Args:
        groups: one array of accuracies per distillation seed, each with at least one.
        nested: whether seeds made the images. The full training set has none: give its networks as one group, and False;
            its networks are then the independent units, and all spread is evaluation.
    """
    values = np.concatenate(groups)
    units = np.array([group.mean() for group in groups]) if nested else values
    between, within = variance_components(groups) if nested else (NAN, _variance(values))
    low, high = confidence_interval(units, PERCENT)
    return TwoLevel(
        mean=float(units.mean()),
        sd=math.sqrt(_variance(values)),
        sd_distillation=math.sqrt(between),
        sd_evaluation=math.sqrt(within),
        ci_low=low,
        ci_high=high,
        df=len(units) - 1,
        n=len(values),
        seeds=len(groups) if nested else 0,
    )


def variance_components(groups: Sequence[Vector]) -> tuple[float, float]:
    """Between-seed and within-seed variance of a one-way random-effects layout, balanced or not.

    The ANOVA estimator (Henderson's method I; Searle, Casella and McCulloch, Variance Components, 1992, chapter 3): mean
    squares set equal to their expectations, ``(MSA - MSE) / n0`` with ``n0 = (N - sum n_i^2 / N) / (k - 1)``, clipped at 0.

    Returns:
        (between, within); NaN where they cannot be estimated: within needs a seed with two networks, between two seeds too.
    """
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    total, seeds = sizes.sum(), len(groups)
    if total == seeds:
        return NAN, NAN
    means = np.array([group.mean() for group in groups])
    residual = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    within = float(residual / (total - seeds))
    if seeds < 2:
        return NAN, within
    grand = float((sizes * means).sum() / total)
    between_square = float((sizes * (means - grand) ** 2).sum() / (seeds - 1))
    n0 = (total - float((sizes**2).sum()) / total) / (seeds - 1)
    return max(0.0, (between_square - within) / n0), within


def confidence_interval(units: Vector, possible: tuple[float, float]) -> tuple[float, float]:
    """The 95 % Student-t interval of the mean of independent units, within what is possible; NaN with fewer than two.

    Few units make t intervals that leave the range of the quantity. What lies outside is no value of the mean, so cutting it
    off changes the coverage of no mean there is.

    Args:
        units: the values.
        possible: the range that the mean lies in, in the unit of the values.
    """
    if len(units) < 2:
        return NAN, NAN
    half = _quantile(len(units) - 1) * units.std(ddof=1) / math.sqrt(len(units))
    low, high = possible
    return max(low, float(units.mean() - half)), min(high, float(units.mean() + half))


@cache
def _quantile(df: int) -> float:
    """The quantile of Student's t that the half of an interval is a multiple of; thousands of intervals share a few."""
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, df))


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Comparison of two methods over their common distillation seeds.

    Attributes:
        difference: mean of the differences of seed means, first minus second.
        ci_low: lower end of its 95 % interval, within -100 to 100 points; NaN without a test.
        ci_high: upper end.
        seeds: common distillation seeds.
        t: paired t statistic; NaN without a test.
        p: two-sided p value; NaN without a test.
        d: the differences' mean over their sample standard deviation (Cohen's d_z).
        g: d with Hedges' exact correction for small samples; NaN with fewer than three seeds, where it does not exist.
        untested: why there is no test; empty if there is one.
    """

    difference: float
    ci_low: float
    ci_high: float
    seeds: int
    t: float
    p: float
    d: float
    g: float
    untested: str


def paired(first: Vector, second: Vector) -> Paired:
    """Compare seed means of two methods, in the same order of seeds; at least one."""
    differences = first - second
    seeds, untested = len(differences), _untested(first, second)
    # A spread of rounding errors would give an interval of no width and any t at all.
    low, high = confidence_interval(differences, POINTS) if not untested else (NAN, NAN)
    d = float(differences.mean() / differences.std(ddof=1)) if not untested else NAN
    t = d * math.sqrt(seeds)
    return Paired(
        difference=float(differences.mean()),
        ci_low=low,
        ci_high=high,
        seeds=seeds,
        t=t,
        p=float(2.0 * stdtr(seeds - 1, -abs(t))) if not untested else NAN,
        d=d,
        g=d * hedges_factor(seeds - 1),
        untested=untested,
    )


def _untested(first: Vector, second: Vector) -> str:
    """Why the differences bear no test; empty where they do."""
    if len(first) < 2:
        return ONE_SEED
    differences = first - second
    scale = max(np.abs(first).max(), np.abs(second).max())
    return EQUAL if np.ptp(differences) <= ROUNDING * scale else ""


def hedges_factor(df: int) -> float:
    """Hedges' J, which makes a standardised mean difference unbiased; NaN below two degrees of freedom."""
    if df < 2:
        return NAN
    return math.exp(float(gammaln(df / 2) - gammaln((df - 1) / 2))) / math.sqrt(df / 2)


def holm(p: Vector) -> Vector:
    """Holm's step-down adjusted p values of one family; NaN (no test) stays and does not count."""
    adjusted = np.full_like(p, NAN)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted


def _variance(values: Vector) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else NAN
