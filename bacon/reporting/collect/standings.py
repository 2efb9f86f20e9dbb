"""Methods of several result folders ranked within what can be compared: one data set, IPC, protocol and network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from bacon.datasets.registry import REGISTRY
from bacon.reporting.collect.comparisons import ALPHA
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.statistics import ROUNDING, TwoLevel, Vector, holm, paired
from bacon.reporting.collect.summary import networks_summary

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
        return ", ".join(str(value) for value in dict.fromkeys(self.networks[column].tolist()) if not pd.isna(value))


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
    summaries = [networks_summary(one) for one in rows]
    order = sorted(range(len(rows)), key=lambda each: -summaries[each].mean)
    rows, summaries = [rows[each] for each in order], [summaries[each] for each in order]
    names = _names(rows)
    return [
        Standing(networks=one, place=place, ours=summary, standing=name)
        for one, summary, name in zip(rows, summaries, names, strict=True)
    ]


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
        names[place] = against_best(p)
    return names


def against_best(p: float) -> str:
    """How a method stands whose difference from the best has this adjusted p value; NaN: no test."""
    return UNTESTED if math.isnan(p) else WORSE if p < ALPHA else TIE


def against_first(rows: Sequence[pd.DataFrame]) -> list[float]:
    """P value of each but the first against the first, adjusted for all pairs; NaN where there can be no test."""
    seeds = [_Seeds.of(one) for one in rows]
    pairs = list(combinations(range(len(rows)), 2))
    found = np.array([_t_and_df(seeds[one], seeds[other]) for one, other in pairs], dtype=np.float64)
    # Thousands of pairs: the distribution is asked once for all.
    adjusted = dict(zip(pairs, holm(2 * stats.t.sf(np.abs(found[:, 0]), found[:, 1])), strict=True))
    return [float(adjusted[0, place]) for place in range(1, len(rows))]


@dataclass(frozen=True, kw_only=True)
class _Seeds:
    """The mean of every distillation seed of a row, by its number, and the row's source."""

    source: str
    means: Mapping[int, float]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Seeds:
        means = rows.groupby("seed")["test_accuracy_percent"].mean()
        numbered = dict(zip(means.index.tolist(), means.tolist(), strict=True))
        return cls(source=str(rows["source"].iloc[0]), means=numbered)


def _t_and_df(one: _Seeds, other: _Seeds) -> tuple[float, float]:
    """The t statistic and its degrees of freedom: paired within a source where it can be, else Welch's; NaN: no test."""
    common = sorted(one.means.keys() & other.means.keys()) if one.source == other.source else []
    if len(common) > 1:
        found = paired(*(np.array([each.means[seed] for seed in common]) for each in (one, other)))
        return found.t, found.seeds - 1.0
    return _welch(*(np.array([*each.means.values()]) for each in (one, other)))


def _welch(first: Vector, second: Vector) -> tuple[float, float]:
    """Welch's statistic with the degrees of freedom of Welch and Satterthwaite."""
    # A spread of rounding errors would give any t at all.
    rounding = ROUNDING * max(np.abs(first).max(), np.abs(second).max())
    if min(len(first), len(second)) < 2 or max(np.ptp(first), np.ptp(second)) <= rounding:
        return math.nan, math.nan
    own, others = first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)
    df = (own + others) ** 2 / (own**2 / (len(first) - 1) + others**2 / (len(second) - 1))
    return float((first.mean() - second.mean()) / math.sqrt(own + others)), float(df)
