"""The table of every method at every place, which a reader filters, sorts and compares with a reference of their choice."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bacon.reporting.collect.distilled_files import STORAGE
from bacon.reporting.collect.overview import MethodResult, Standings
from bacon.reporting.collect.standings import BEST_ONE, CEILING
from bacon.reporting.page.artifact_facts import duration_text
from bacon.reporting.page.pair_numbers import pair_numbers, pair_text
from bacon.reporting.page.views import Column, Table, Value
from bacon.reporting.tables.markup import ITSELF, MISSING
from bacon.reporting.tables.protocol_tables import interval_text

NOTES = (
    "Accuracy: mean over distillation seeds [95 % confidence interval]. Difference: from the method chosen under “Compare "
    "with”, in percentage points, paired over the distillation seeds that both have [95 % confidence interval]; * where p is "
    "below 0.05: paired t test, adjusted by Holm for every pair of methods and all IPCs of the data set, because any of them "
    "could be chosen. No interval where no test is possible.",
    "Standing: against the best. Tie: not significantly worse. Labels: what networks were trained with: classes (hard), soft "
    "labels stored with the images, or those of a teacher network. n: networks. sd: over all of them. Storage: of one set. "
    "Distillation: mean time of one set.",
)


def results_table(places: Sequence[Standings], protocols: Mapping[str, str], cost: pd.DataFrame) -> Table:
    """One row per method and place, the best first.

    Args:
        places: of :func:`bacon.reporting.collect.overview.overview`.
        protocols: name -> title.
        cost: rows of :func:`bacon.reporting.tables.cost_tables.summarise_cost`.
    """
    methods = list(dict.fromkeys(one.method for each in places for one in each.results if one.standing != CEILING))
    costs = {(row["dataset"], row["method"], row["ipc"]): row for row in cost.to_dict("records")}
    shown = _columns(places)
    rows = []
    for group, each in enumerate(places):
        for one in (one for one in each.results if one.standing != CEILING):
            row = costs.get((each.place.dataset, one.method, each.place.ipc))
            heading = replace(_heading(each, one, protocols), group=group, member=methods.index(one.method))
            values = _values(each, one, protocols) | _cost_values(row) | {"Method": heading}
            rows.append(tuple(values[column.title] for column in shown))
    return Table(
        name="results-table",
        title="Every method on every data set, best first",
        columns=shown,
        rows=tuple(rows),
        notes=NOTES,
        differences=pair_numbers(places, methods),
    )


def _columns(places: Sequence[Standings]) -> tuple[Column, ...]:
    """Those that are the same in every row are left out."""
    several = {
        "Protocol": len({each.place.protocol for each in places}) > 1,
        "Network": len({each.place.network for each in places}) > 1,
    }
    every = (
        Column(title="Method", numeric=False, choice=True, ordered=True),
        Column(title="Accuracy (%)"),
        Column(title="Difference", difference=True),
        Column(title="Standing", numeric=False, choice=True),
        Column(title="Data set", numeric=False, choice=True, wide=True),
        Column(title="IPC", choice=True, ordered=True, wide=True),
        Column(title="Protocol", numeric=False, choice=True, wide=True),
        Column(title="Network", numeric=False, choice=True, wide=True),
        Column(title="Labels", numeric=False, choice=True, wide=True),
        Column(title="n", wide=True),
        Column(title="sd", wide=True),
        Column(title="Storage (KiB)", wide=True),
        Column(title="Distillation", wide=True),
    )
    return tuple(one for one in every if several.get(one.title, True))


def _heading(each: Standings, one: MethodResult, protocols: Mapping[str, str]) -> Value:
    place = each.place
    names = [place.dataset_title, f"IPC {place.ipc}", *([protocols[place.protocol]] if len(protocols) > 1 else [])]
    return Value(text=one.title, choice=one.title, context=", ".join(names))


def _values(each: Standings, one: MethodResult, protocols: Mapping[str, str]) -> dict[str, Value]:
    place, ours = each.place, one.ours
    return {
        "Accuracy (%)": Value(
            text=interval_text(ours.mean, ours.ci_low, ours.ci_high),
            sort=ours.mean,
            best=one.standing == BEST_ONE,
            cells=f"{place.dataset}/{one.method}/ipc{place.ipc}/",
        ),
        "Difference": _difference(each, one),
        "Standing": Value(text=one.standing),
        "Data set": Value(text=place.dataset_title),
        "IPC": Value(text=str(place.ipc), sort=place.ipc),
        "Protocol": Value(text=protocols[place.protocol]),
        "Network": Value(text=place.network),
        "Labels": Value(text=one.label_kind),
        "n": Value(text=str(ours.n), sort=ours.n),
        "sd": Value(text=MISSING) if math.isnan(ours.sd) else Value(text=f"{ours.sd:.1f}", sort=ours.sd),
    }


def _cost_values(cost: Mapping[Hashable, Any] | None) -> dict[str, Value]:
    """What a set takes and how long it took, of a row of the cost."""
    if cost is None:
        return {"Storage (KiB)": Value(text=MISSING), "Distillation": Value(text=MISSING)}
    size, seconds = sum(float(cost[name]) for name in STORAGE) / 1024, float(cost["wall_seconds_mean"])
    return {
        "Storage (KiB)": Value(text=f"{size:,.1f}", sort=size),
        "Distillation": Value(text=duration_text(seconds), sort=seconds),
    }


def _difference(each: Standings, one: MethodResult) -> Value:
    """From the best, until a reader chooses another reference."""
    if each.best is None or one.method == each.best.method:
        return Value(text=ITSELF if each.best is not None else MISSING, sort=0.0 if each.best is not None else None)
    pair = each.pair(one.method, each.best.method)
    return Value(text=MISSING) if pair is None else Value(text=pair_text(pair), sort=pair.difference)
