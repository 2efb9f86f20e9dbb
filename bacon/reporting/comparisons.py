"""Methods held against each other on common seeds, and every result against the published number."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bacon.reporting.protocol import FULL
from bacon.reporting.statistics import holm, paired

FAMILY = ["dataset", "network"]
"""One family of tests: all pairs of methods at all IPCs on a data set with an evaluation network."""
ALPHA = 0.05
_COLUMNS = (
    "dataset", "dataset_title", "network", "ipc", "method", "method_title", "other", "other_title", "seeds",
    "difference_points", "ci_low", "ci_high", "t", "p", "p_holm", "significant", "d", "hedges_g", "untested",
)  # fmt: skip


def compare_methods(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Every pair of methods at every IPC, paired over their common distillation seeds.

    Pairs are what they are because a distillation seed gives every method the same first images and its networks the same
    initial weights. Full data sets have no distillation seed and are not compared.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.collect_accuracy`.

    Returns:
        Columns: dataset, dataset_title, network, ipc, method, method_title, other, other_title, seeds (common distillation
        seeds), difference_points (method minus other, of the means over seeds), ci_low, ci_high (95 %), t, p (paired t test,
        two-sided), p_holm (adjusted within ``FAMILY``), significant (p_holm below 0.05; missing without a test), d,
        hedges_g, untested (why there is no test). The later method of the configuration is ``method``.
    """
    final = accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    keys = [*FAMILY, "ipc"]
    rows = [row for _, group in final.groupby(keys, sort=False) for row in _pairs(group)]
    table = pd.DataFrame(rows, columns=[name for name in _COLUMNS if name not in ("p_holm", "significant")])
    adjusted = table.groupby(FAMILY, sort=False)["p"].transform(lambda p: holm(p.to_numpy(np.float64)))
    table["p_holm"] = adjusted.astype("float64")
    table["significant"] = (table["p_holm"] < ALPHA).astype("boolean").mask(table["p_holm"].isna())
    return table[list(_COLUMNS)].astype({"ipc": "Int64"})


def _pairs(group: pd.DataFrame) -> list[dict[str, Any]]:
    means = group.pivot_table(index="seed", columns="method", values="test_accuracy_percent", aggfunc="mean")
    titles = dict(zip(group["method"], group["method_title"], strict=True))
    first = group.iloc[0]
    shared = {key: first[key] for key in ("dataset", "dataset_title", "network", "ipc")}
    rows = []
    for other, method in combinations(titles, 2):
        common = means[[method, other]].dropna()
        if common.empty:
            continue
        found = paired(common[method].to_numpy(np.float64), common[other].to_numpy(np.float64))
        rows.append(
            {
                **shared,
                "method": method,
                "method_title": titles[method],
                "other": other,
                "other_title": titles[other],
                "seeds": found.seeds,
                "difference_points": found.difference,
                **{name: getattr(found, name) for name in ("ci_low", "ci_high", "t", "p", "d", "untested")},
                "hedges_g": found.g,
            }
        )
    return rows
