"""Every method on every data set, at every IPC, with every network, under every protocol; and how each pair compares there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from bacon.config.model import ALL
from bacon.reporting.collect.comparisons import ALPHA, PLACE, compare_methods
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.standings import ALONE, BEST_ONE, CEILING, against_best
from bacon.reporting.collect.statistics import TwoLevel
from bacon.reporting.collect.summary import networks_summary

VARIANT = "variant"
"""How a variant stands: it is compared with its method, not with the best."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One method minus another, over their common distillation seeds: percentage points, and p adjusted for all pairs.

    Attributes:
        difference: of the means.
        ci_low: lower end of its 95 % interval.
        ci_high: upper end.
        p: adjusted by Holm's method for every pair of methods on the data set; NaN without a test, as the interval.
    """

    difference: float
    ci_low: float
    ci_high: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05; never without a test."""
        return self.p < ALPHA

    def turned(self) -> Pair:
        """The second method minus the first."""
        return Pair(difference=-self.difference, ci_low=-self.ci_high, ci_high=-self.ci_low, p=self.p)


@dataclass(frozen=True, kw_only=True)
class Place:
    """What accuracies are compared within: a data set, a network, an IPC and a protocol."""

    dataset: str
    dataset_title: str
    network: str
    ipc: int
    protocol: str


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """One method at a place; the full data set stands at each of its data set's.

    Attributes:
        method: name in the configuration.
        title: its name in tables.
        ours: mean, interval and spreads in percent.
        label_kind: ``hard``, ``soft`` or ``teacher``.
        standing: ``best``, ``tie`` (not significantly worse), ``worse``, ``no test``, ``alone``, ``variant`` or
            ``full data set``.
    """

    method: str
    title: str
    ours: TwoLevel
    label_kind: str
    standing: str


@dataclass(frozen=True, kw_only=True)
class Standings:
    """The methods at one place.

    Attributes:
        place: where.
        results: by mean, the highest first; the full data set last.
        pairs: of (method, other), each pair once.
    """

    place: Place
    results: tuple[MethodResult, ...]
    pairs: Mapping[tuple[str, str], Pair] = field(repr=False)

    @property
    def best(self) -> MethodResult | None:
        """The method of the highest mean; variants are none."""
        return next((one for one in self.results if one.standing in (BEST_ONE, ALONE)), None)

    @property
    def full(self) -> MethodResult | None:
        """The full data set."""
        return next((one for one in self.results if one.standing == CEILING), None)

    def pair(self, method: str, other: str) -> Pair | None:
        """``method`` minus ``other``; ``None`` where the two are not compared."""
        found = self.pairs.get((method, other))
        if found is None and (other, method) in self.pairs:
            return self.pairs[other, method].turned()
        return found


def overview(accuracies: Mapping[str, pd.DataFrame], variants: Mapping[str, str]) -> list[Standings]:
    """Every place, by data set, network and IPC, protocols in the order given.

    Args:
        accuracies: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`, with ``label_kind``.
        variants: name of a variant -> its method.
    """
    found = [
        one
        for protocol, rows in accuracies.items()
        for one in _under(protocol, rows[rows["final"]], compare_methods(rows, variants, references=(ALL,)), variants)
    ]
    protocols = list(accuracies)
    datasets = list(dict.fromkeys(one.place.dataset for one in found))
    networks = list(dict.fromkeys(one.place.network for one in found))

    def order(one: Standings) -> tuple[int, int, int, int]:
        place = one.place
        return (
            datasets.index(place.dataset),
            networks.index(place.network),
            place.ipc,
            protocols.index(place.protocol),
        )

    return sorted(found, key=order)


def _under(protocol: str, final: pd.DataFrame, pairs: pd.DataFrame, variants: Mapping[str, str]) -> list[Standings]:
    compared = {key: _pairs(rows) for key, rows in pairs.groupby(PLACE, sort=False)}
    fulls = {key: _result(rows, CEILING) for key, rows in final[final["method"] == FULL].groupby(PLACE[:2], sort=False)}
    found = []
    for key, rows in final[final["method"] != FULL].groupby(PLACE, sort=False):
        first = rows.iloc[0]
        place = Place(
            dataset=str(first["dataset"]),
            dataset_title=str(first["dataset_title"]),
            network=str(first["network"]),
            ipc=int(first["ipc"]),
            protocol=protocol,
        )
        own = compared.get(key, {})
        results = _ranked([rows for _, rows in rows.groupby("method", sort=False)], own, variants)
        full = fulls.get(key[:2])
        found.append(Standings(place=place, results=(*results, *([full] if full else [])), pairs=own))
    return found


def _pairs(rows: pd.DataFrame) -> dict[tuple[str, str], Pair]:
    names = ("method", "other", "difference_points", "ci_low", "ci_high", "p_holm")
    return {
        (str(method), str(other)): Pair(
            difference=float(difference),
            ci_low=float(low),
            ci_high=float(high),
            p=float(p),
        )
        for method, other, difference, low, high, p in zip(*(rows[name] for name in names), strict=True)
    }


def _ranked(
    groups: Sequence[pd.DataFrame], pairs: Mapping[tuple[str, str], Pair], variants: Mapping[str, str]
) -> list[MethodResult]:
    results = sorted((_result(rows, "") for rows in groups), key=lambda one: -one.ours.mean)
    competitors = [one.method for one in results if one.method not in variants]
    best = competitors[0] if competitors else ""
    alone = len(competitors) == 1
    return [_standing(one, best, pairs, alone=alone, is_variant=one.method in variants) for one in results]


def _standing(
    one: MethodResult, best: str, pairs: Mapping[tuple[str, str], Pair], *, alone: bool, is_variant: bool
) -> MethodResult:
    if one.method == best:
        name = ALONE if alone else BEST_ONE
    elif is_variant:
        name = VARIANT
    else:
        pair = pairs.get((one.method, best)) or pairs.get((best, one.method))
        name = against_best(math.nan if pair is None else pair.p)
    return replace(one, standing=name)


def _result(rows: pd.DataFrame, standing: str) -> MethodResult:
    first: Any = rows.iloc[0]
    return MethodResult(
        method=str(first["method"]),
        title=str(first["method_title"]),
        ours=networks_summary(rows),
        label_kind=str(first["label_kind"]),
        standing=standing,
    )
