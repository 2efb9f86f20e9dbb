"""Methods compared on common distillation seeds: with chosen references, with the best, or every pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bacon.config.model import ALL, BEST
from bacon.reporting.collect.protocol_text import FULL, is_whitened
from bacon.reporting.collect.statistics import holm, paired

METHODS, REFERENCES, BEST_FAMILY = "methods", "references", "best"
"""The families of methods: every pair; all with the references that were named; all with the best of each IPC. That of a
method's variants is called by the method's name."""
FAMILY = ["dataset", "network", "family"]
"""One family of tests: on a data set with an evaluation network, at all IPCs."""
ALPHA = 0.05
_COLUMNS = (
    "dataset", "dataset_title", "network", "family", "ipc", "method", "method_title", "other", "other_title", "seeds",
    "difference_points", "ci_low", "ci_high", "t", "p", "p_holm", "significant", "d", "hedges_g", "untested",
    "one_whitened",
)  # fmt: skip
PLACE = ["dataset", "network", "ipc"]
"""What methods are compared within, under one protocol."""


def compare_methods(
    accuracy: pd.DataFrame, variants: Mapping[str, str] | None = None, *, references: Sequence[str] = (ALL,)
) -> pd.DataFrame:
    """Methods at every IPC with the references, and each variant with its method, paired over common distillation seeds.

    Pairs are what they are because a distillation seed gives every method the same first images and its networks the same
    initial weights. Full data sets have no distillation seed and are not compared. Variants of a method that the grid lacks
    are compared with each other.

    The best method is chosen by the numbers that are tested, so any pair could have come up: p values against it are adjusted
    for all pairs. Methods named beforehand make a family of the pairs with them alone.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        variants: name of a variant -> its method.
        references: names of methods, ``best``, or ``all`` for every pair, as in ``report.references``.

    Returns:
        Columns: dataset, dataset_title, network, family (``METHODS``, ``REFERENCES``, ``BEST_FAMILY`` or a method), ipc,
        method, method_title, other, other_title, seeds (common distillation seeds), difference_points (method minus other, of
        the means over seeds), ci_low, ci_high (95 %), t, p (paired t test, two-sided), p_holm (adjusted), significant (p_holm
        below 0.05; missing without a test), d, hedges_g, untested (why there is no test), one_whitened (the images of one
        of the two are whitened by ZCA, the other's are not). ``other`` is the reference; where both are, or neither is, it is
        the earlier method of the configuration.
    """
    final = accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    rows = [row for _, group in final.groupby(PLACE, sort=False) for row in _pairs(group, variants or {})]
    pairs = _adjusted(pd.DataFrame(rows, columns=[name for name in _COLUMNS if name not in ("p_holm", "significant")]))
    if ALL not in references:
        methods = pairs["family"] == METHODS
        named = _with_named(pairs[methods], [name for name in references if name != BEST])
        best = _with_best(pairs[methods], final, variants or {}) if BEST in references else pairs.iloc[:0]
        pairs = pd.concat([named, best, pairs[~methods]], ignore_index=True)
    pairs["significant"] = (pairs["p_holm"] < ALPHA).astype("boolean").mask(pairs["p_holm"].isna())
    return pairs[list(_COLUMNS)].astype({"ipc": "Int64"})


def _adjusted(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with ``p_holm``, adjusted within their family."""
    adjusted = pairs.groupby(FAMILY, sort=False)["p"].transform(lambda p: holm(p.to_numpy(np.float64)))
    return pairs.assign(p_holm=adjusted.astype("float64"))


def _with_named(pairs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The pairs with a method of ``names``, a family of their own."""
    first, second = pairs["method"].isin(names), pairs["other"].isin(names)
    return _adjusted(_turned(pairs, first & ~second)[first | second].assign(family=REFERENCES))


def _with_best(pairs: pd.DataFrame, final: pd.DataFrame, variants: Mapping[str, str]) -> pd.DataFrame:
    """The pairs with the method that has the highest mean at their IPC, adjusted for every pair."""
    methods = final[~final["method"].isin(variants)]
    seeds = methods.groupby([*PLACE, "method", "seed"], sort=False)["test_accuracy_percent"].mean()
    means = seeds.groupby([*PLACE, "method"], sort=False).mean().reset_index()
    best = means.loc[means.groupby(PLACE, sort=False)["test_accuracy_percent"].idxmax()].set_index(PLACE)["method"]
    own = pd.Series(
        [best[tuple(place)] for place in pairs[PLACE].itertuples(index=False)], index=pairs.index, dtype="object"
    )
    first, second = pairs["method"] == own, pairs["other"] == own
    return _turned(pairs, first)[first | second].assign(family=BEST_FAMILY)


def _turned(pairs: pd.DataFrame, chosen: pd.Series[bool]) -> pd.DataFrame:
    """The pairs, in those chosen the two methods the other way round."""
    turned = pairs.copy()
    for one, other in (("method", "other"), ("method_title", "other_title")):
        turned.loc[chosen, one], turned.loc[chosen, other] = pairs.loc[chosen, other], pairs.loc[chosen, one]
    for name in ("difference_points", "t", "d", "hedges_g"):
        turned.loc[chosen, name] = -pairs.loc[chosen, name]
    turned.loc[chosen, "ci_low"], turned.loc[chosen, "ci_high"] = (
        -pairs.loc[chosen, "ci_high"],
        -pairs.loc[chosen, "ci_low"],
    )
    return turned


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
    values = {name: means[name].to_numpy(np.float64) for name in titles}
    whitened = {name: is_whitened(words) for name, words in zip(group["method"], group["protocol"], strict=True)}
    first = group.iloc[0]
    shared = {key: first[key] for key in ("dataset", "dataset_title", "network", "ipc")}
    rows = []
    for other, method in combinations(titles, 2):
        family, common = _family(method, other, titles, variants), ~np.isnan(values[method] + values[other])
        if family is None or not common.any():
            continue
        found = paired(values[method][common], values[other][common])
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
                "one_whitened": whitened[method] != whitened[other],
            }
        )
    return rows
