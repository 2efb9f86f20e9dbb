"""Methods of several result folders ranked within what can be compared: one data set, IPC, protocol and network."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from bacon.datasets.registry import REGISTRY
from bacon.reporting.collect.comparisons import ALPHA
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.statistics import ROUNDING, TwoLevel, Vector, holm, paired, two_level

BEST_ONE, TIE, WORSE, UNTESTED, ALONE, CEILING = (
    "best",
    "tie",
    "worse",
    "no test",
    "alone",
    "full data set",
)
"""How a row stands in its group."""
PLACE = ["dataset", "data", "ipc", "protocol_name", "protocol_digest", "network"]
"""A group: accuracies are compared within it and never beyond."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One row of the leaderboard: a method from one source in one group.

    Attributes:
        networks: its rows of :class:`bacon.reporting.collect.result_folders.Collected`.
        place: number of its group, from 0.
        ours: mean, interval and spreads, in percent.
        standing: ``BEST_ONE``, ``TIE``, ``WORSE``, ``UNTESTED``, ``ALONE`` (nothing to compare with) or ``CEILING``.
    """

    networks: pd.DataFrame
    place: int
    ours: TwoLevel
    standing: str

    def one(self, column: str) -> str:
        """The text of a column, its values joined where the networks have several."""
        return ", ".join(str(value) for value in self.networks[column].dropna().drop_duplicates())


def standings(networks: pd.DataFrame) -> list[Standing]:
    """Every row of the leaderboard, by data set, IPC, protocol and network, the highest mean first.

    Two rows of one source are compared by the paired t test over their common distillation seeds; rows of two sources, whose
    seeds need not mean the same images, by Welch's t test of their seed means. The best row of a group is chosen from the
    numbers that are tested, so its p values are adjusted (Holm) for every pair of the group.

    Args:
        networks: of :class:`bacon.reporting.collect.result_folders.Collected`.
    """
    # A registered data set is the same wherever it was prepared; anything else may share no more than its name.
    data = networks["data_fingerprint"].fillna("").where(~networks["dataset"].isin(list(REGISTRY)), "")
    ordered = networks.assign(data=data)
    groups = ordered.groupby(PLACE, sort=True, dropna=False)
    return [row for place, (_, group) in enumerate(groups) for row in _group(group, place)]


def _group(group: pd.DataFrame, place: int) -> list[Standing]:
    rows = [rows for _, rows in group.groupby(["method", "source"], sort=True)]
    summaries = [_summary(one) for one in rows]
    order = sorted(range(len(rows)), key=lambda each: -summaries[each].mean)
    rows, summaries = [rows[each] for each in order], [summaries[each] for each in order]
    names = _names(rows)
    return [
        Standing(networks=one, place=place, ours=summary, standing=name)
        for one, summary, name in zip(rows, summaries, names, strict=True)
    ]


def _summary(rows: pd.DataFrame) -> TwoLevel:
    groups = [one["test_accuracy_percent"].to_numpy(np.float64) for _, one in rows.groupby("seed", dropna=False)]
    return two_level(groups, nested=rows["method"].iloc[0] != FULL)


def _names(rows: Sequence[pd.DataFrame]) -> list[str]:
    """How each of the rows, the best first, stands."""
    names = [CEILING] * len(rows)
    compared = [place for place, one in enumerate(rows) if one["method"].iloc[0] != FULL]
    if len(compared) == 1:
        names[compared[0]] = ALONE
    if len(compared) < 2:
        return names
    names[compared[0]] = BEST_ONE
    for place, p in zip(compared[1:], against_first([rows[place] for place in compared]), strict=True):
        names[place] = UNTESTED if np.isnan(p) else WORSE if p < ALPHA else TIE
    return names


def against_first(rows: Sequence[pd.DataFrame]) -> list[float]:
    """P value of each but the first against the first, adjusted for all pairs; NaN where there can be no test."""
    seeds = [(one["source"].iloc[0], one.groupby("seed")["test_accuracy_percent"].mean()) for one in rows]
    pairs = list(combinations(range(len(rows)), 2))
    found = np.array([_p(seeds[one], seeds[other]) for one, other in pairs], dtype=np.float64)
    adjusted = dict(zip(pairs, holm(found), strict=True))
    return [float(adjusted[0, place]) for place in range(1, len(rows))]


def _p(one: tuple[Hashable, pd.Series[float]], other: tuple[Hashable, pd.Series[float]]) -> float:
    """Two-sided p value of two rows, each its source and the mean of every distillation seed."""
    if one[0] == other[0]:
        common = one[1].index.intersection(other[1].index)
        if len(common) > 1:
            return paired(_values(one[1].loc[common]), _values(other[1].loc[common])).p
    return _welch(_values(one[1]), _values(other[1]))


def _values(means: pd.Series[float]) -> Vector:
    return np.asarray(means, dtype=np.float64)


def _welch(first: Vector, second: Vector) -> float:
    """NaN with one seed, or where neither spreads but for rounding, as the statistic divides by zero."""
    spread, scale = max(np.ptp(first), np.ptp(second)), max(np.abs(first).max(), np.abs(second).max())
    if min(len(first), len(second)) < 2 or spread <= ROUNDING * scale:
        return float("nan")
    return float(stats.ttest_ind(first, second, equal_var=False).pvalue)
