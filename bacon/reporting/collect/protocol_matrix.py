"""Methods under several evaluation protocols: accuracy, rank, and where the order of methods depends on the protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.statistics import POINTS, Vector, confidence_interval
from bacon.reporting.collect.summary import networks_summary

_GROUP = ["dataset", "dataset_title", "network", "ipc"]
COLUMNS = (
    "dataset", "dataset_title", "network", "ipc", "method", "method_title", "control", "protocol", "protocol_title",
    "mean_percent", "sd_percent", "ci_low", "ci_high", "n", "distillation_seeds", "evaluation_seeds", "rank", "rank_change",
    "change_supported", "kendall_tau", "protocol_text",
)  # fmt: skip


def protocol_matrix(
    accuracies: Mapping[str, pd.DataFrame], *, titles: Mapping[str, str], controls: Collection[str]
) -> pd.DataFrame:
    """Every method under every protocol, in long form.

    Args:
        accuracies: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`; ranks are compared with
            those under the first protocol.
        titles: protocol -> its name in tables.
        controls: methods that are controls, not competitors; they are ranked all the same.

    Returns:
        Columns ``COLUMNS``: accuracies in percent with their 95 % interval over distillation seeds (``two_level``); ``rank``
        among the methods of a (data set, network, IPC, protocol) by the mean, 1 the best, equal means sharing the better rank,
        missing for the full data set; ``rank_change``: places gained (positive) against the first protocol;
        ``change_supported``: with at least one other method the order is reversed beyond the noise, the 95 % intervals of the
        paired difference lying on opposite sides of zero; ``kendall_tau``: tau-b of the order of methods with that under the
        first protocol. The full data set has one row per protocol and IPC of its data set.
    """
    rows = [row for group in _groups(accuracies) for row in _group_rows(*group, titles=titles, controls=controls)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"ipc": "Int64", "rank": "Int64", "rank_change": "Int64", "change_supported": "boolean"})


_Group = tuple[dict[str, Any], dict[str, pd.DataFrame]]


def _groups(accuracies: Mapping[str, pd.DataFrame]) -> Iterator[_Group]:
    """(Data set, network, IPC) -> rows on final images under each protocol, the full data set's with every IPC."""
    final = {protocol: rows[rows["final"]] for protocol, rows in accuracies.items()}
    methods = pd.concat([rows.loc[rows["method"] != FULL, _GROUP] for rows in final.values()])
    for key in methods.drop_duplicates().itertuples(index=False, name=None):
        place = dict(zip(_GROUP, key, strict=True))
        yield place, {protocol: _at(rows, place) for protocol, rows in final.items()}


def _at(rows: pd.DataFrame, place: Mapping[str, Any]) -> pd.DataFrame:
    own: pd.DataFrame = rows[(rows["dataset"] == place["dataset"]) & (rows["network"] == place["network"])]
    here: pd.DataFrame = own[(own["ipc"] == place["ipc"]) | (own["method"] == FULL)]
    return here


def _group_rows(
    place: Mapping[str, Any],
    under: Mapping[str, pd.DataFrame],
    *,
    titles: Mapping[str, str],
    controls: Collection[str],
) -> Iterator[dict[str, Any]]:
    units = {protocol: seed_means(rows) for protocol, rows in under.items()}
    means = {protocol: pd.Series({name: one.mean() for name, one in of.items()}) for protocol, of in units.items()}
    ranks = {protocol: one.rank(ascending=False, method="min") for protocol, one in means.items()}
    first = next(iter(under))
    for protocol, rows in under.items():
        both = [name for name in means[protocol].index if name in means[first].index]
        tau = _tau(means[first][both], means[protocol][both])
        for method, of_method in rows.groupby("method", sort=False):
            is_full, is_first = method == FULL, protocol == first
            lacks_first = method not in means[first].index
            changes = {} if is_full or is_first or lacks_first else {
                "rank_change": ranks[first][method] - ranks[protocol][method],
                "change_supported": any(
                    _reversed(units[first], units[protocol], str(method), other) for other in both
                ),
            }  # fmt: skip
            yield {
                **place,
                "method": method,
                "method_title": of_method["method_title"].iloc[0],
                "control": method in controls,
                "protocol": protocol,
                "protocol_title": titles[protocol],
                **_accuracy(of_method),
                "rank": None if is_full else ranks[protocol][method],
                **changes,
                "kendall_tau": np.nan if is_first else tau,
            }


def _accuracy(rows: pd.DataFrame) -> dict[str, Any]:
    ours = networks_summary(rows)
    return {
        "mean_percent": ours.mean,
        "sd_percent": ours.sd,
        "ci_low": ours.ci_low,
        "ci_high": ours.ci_high,
        "n": ours.n,
        "distillation_seeds": ours.seeds,
        "evaluation_seeds": int(rows["evaluation_seed"].nunique()),
        "protocol_text": " | ".join(rows["protocol"].drop_duplicates()),
    }


def seed_means(rows: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """Method -> mean test accuracy in percent of each distillation seed, without the full data set."""
    own = rows[rows["method"] != FULL]
    means = own.groupby(["method", "seed"], sort=False)["test_accuracy_percent"].mean()
    return {str(method): means.loc[method] for method in own["method"].unique()}


def _reversed(first: Mapping[str, Any], second: Mapping[str, Any], method: str, other: str) -> bool:
    """Whether two methods change places beyond the noise: both differences' intervals exclude 0, on opposite sides."""
    differences = [paired_values(of[method], of[other]) for of in (first, second)]
    if method == other or np.prod([one.mean() if len(one) else 0.0 for one in differences]) >= 0:
        return False
    (low, high), (second_low, second_high) = (confidence_interval(one, POINTS) for one in differences)
    return bool((low > 0 and second_high < 0) or (high < 0 and second_low > 0))


def paired_values(one: pd.Series[float], other: pd.Series[float]) -> Vector:
    """Differences of two series over the seeds that both have."""
    if one.index.equals(other.index):
        return np.asarray(one.to_numpy(np.float64) - other.to_numpy(np.float64))
    both = pd.concat([one, other], axis=1, join="inner").to_numpy(np.float64)
    return np.asarray(both[:, 0] - both[:, 1])


def _tau(first: pd.Series[float], second: pd.Series[float]) -> float:
    """Kendall's tau-b of two orders; NaN with fewer than two methods, or where all are equal."""
    if len(first) < 2:
        return float("nan")
    return float(stats.kendalltau(first, second.reindex(first.index)).statistic)
