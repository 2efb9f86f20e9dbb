"""Methods held against each other on common seeds, and every result against the published number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.statistics import holm, paired

METHODS = "methods"
"""The family of the pairs of methods; that of a method's variants is called by the method's name."""
FAMILY = ["dataset", "network", "family"]
"""One family of tests: on a data set with an evaluation network, at all IPCs, all pairs of methods; or a method's variants."""
ALPHA = 0.05
_COLUMNS = (
    "dataset", "dataset_title", "network", "family", "ipc", "method", "method_title", "other", "other_title", "seeds",
    "difference_points", "ci_low", "ci_high", "t", "p", "p_holm", "significant", "d", "hedges_g", "untested",
)  # fmt: skip


def compare_methods(accuracy: pd.DataFrame, variants: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Every pair of methods at every IPC, and each variant with its method, paired over their common distillation seeds.

    Pairs are what they are because a distillation seed gives every method the same first images and its networks the same
    initial weights. Full data sets have no distillation seed and are not compared. Variants of a method that the grid lacks
    are compared with each other.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        variants: name of a variant -> its method.

    Returns:
        Columns: dataset, dataset_title, network, family (``METHODS`` or a method), ipc, method, method_title, other,
        other_title, seeds (common distillation seeds), difference_points (method minus other, of the means over seeds),
        ci_low, ci_high (95 %), t, p (paired t test, two-sided), p_holm (adjusted within ``FAMILY``), significant (p_holm below
        0.05; missing without a test), d, hedges_g, untested (why there is no test). The later method of the configuration is
        ``method``.
    """
    final = accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    keys = ["dataset", "network", "ipc"]
    rows = [row for _, group in final.groupby(keys, sort=False) for row in _pairs(group, variants or {})]
    table = pd.DataFrame(rows, columns=[name for name in _COLUMNS if name not in ("p_holm", "significant")])
    adjusted = table.groupby(FAMILY, sort=False)["p"].transform(lambda p: holm(p.to_numpy(np.float64)))
    table["p_holm"] = adjusted.astype("float64")
    table["significant"] = (table["p_holm"] < ALPHA).astype("boolean").mask(table["p_holm"].isna())
    return table[list(_COLUMNS)].astype({"ipc": "Int64"})


def _family(method: str, other: str, present: Iterable[str], variants: Mapping[str, str]) -> str | None:
    """The family of a pair; ``None`` where it is not compared, so that variants cost the methods' tests no power."""
    bases = variants.get(method, method), variants.get(other, other)
    if method not in variants and other not in variants:
        return METHODS
    one_of_them = bases[0] in (method, other) or bases[0] not in present
    return bases[0] if bases[0] == bases[1] and one_of_them else None


def _pairs(group: pd.DataFrame, variants: Mapping[str, str]) -> list[dict[str, Any]]:
    means = group.pivot_table(index="seed", columns="method", values="test_accuracy_percent", aggfunc="mean")
    titles = dict(zip(group["method"], group["method_title"], strict=True))
    first = group.iloc[0]
    shared = {key: first[key] for key in ("dataset", "dataset_title", "network", "ipc")}
    rows = []
    for other, method in combinations(titles, 2):
        family, common = _family(method, other, titles, variants), means[[method, other]].dropna()
        if family is None or common.empty:
            continue
        found = paired(common[method].to_numpy(np.float64), common[other].to_numpy(np.float64))
        rows.append(
            {
                **shared,
                "family": family,
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
