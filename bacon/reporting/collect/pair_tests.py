"""Every pair of methods tested at once, over the distillation seeds that both have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from bacon.reporting.collect.statistics import ROUNDING

Matrix = npt.NDArray[np.float64]


def pair_p_values(means: Matrix) -> Matrix:
    """P values of the two-sided paired t test of every pair of methods, not adjusted.

    Args:
        means: (seeds, methods) seed means; NaN where a method lacks a seed.

    Returns:
        (methods, methods), symmetric; NaN on the diagonal and where there is no test: fewer than two common seeds, or
        differences that are the same on every seed but for rounding.
    """
    methods = means.shape[1]
    first, second = np.triu_indices(methods, k=1)
    differences = means[:, first] - means[:, second]  # (seeds, pairs)
    found = np.full((methods, methods), np.nan)
    p = _p_values(differences, np.fmax(np.abs(means[:, first]), np.abs(means[:, second])))
    found[first, second] = found[second, first] = p
    return found


def _p_values(differences: Matrix, sizes: Matrix) -> Matrix:
    """Of each column of differences, (pairs,); ``sizes`` are what rounding is measured by."""
    known = ~np.isnan(differences)
    count = known.sum(axis=0)
    filled = np.where(known, differences, 0.0)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(known, differences - mean, 0.0) ** 2).sum(axis=0)
    spread = np.where(known, differences, -np.inf).max(axis=0) - np.where(known, differences, np.inf).min(axis=0)
    scale = np.where(known, sizes, 0.0).max(axis=0)
    tested = (count > 1) & (spread > ROUNDING * scale)
    found = np.full(len(mean), np.nan)
    degrees = count[tested] - 1
    t = mean[tested] / np.sqrt(squares[tested] / degrees / count[tested])
    found[tested] = 2 * stats.t.sf(np.abs(t), degrees)
    return found
