"""How much of a published gap between two methods the difference of their evaluation protocols explains.

Method A is published with accuracy a under its own protocol P, method B with b < a under its own protocol Q. The published gap
is ``G = a - b``. With ``y(X, R)`` our accuracy of the images of X under protocol R, our own gap between the two published
circumstances splits without remainder into what protocols and what images make of it:

    y(A, P) - y(B, Q) = E + M
    E = ([y(A, P) - y(A, Q)] + [y(B, P) - y(B, Q)]) / 2     same images, the other protocol
    M = ([y(A, P) - y(B, P)] + [y(A, Q) - y(B, Q)]) / 2     same protocol, the other images

(the symmetric split of Oaxaca and Blinder; for two factors it is the Shapley value). The share of the published gap that the
protocol explains is ``E / G``. E has one value per distillation seed that all four have, so its 95 % interval is Student's t
over these; G is what the sources print and has no interval here. A share above 1 says that the protocol alone makes more than
the published gap; one below 0, that the protocol favours the other method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from bacon.reporting.collect.protocol_matrix import seed_means
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.published import Published, PublishedResults
from bacon.reporting.collect.statistics import POINTS, Vector, confidence_interval
from bacon.reporting.collect.summary import text_or_none

# Sources round: a smaller gap is none, and no share of it is defined.
SMALLEST_GAP = 0.1
COLUMNS = (
    "dataset", "dataset_title", "network", "ipc", "method", "method_title", "other", "other_title", "protocol",
    "other_protocol", "published_percent", "other_published_percent", "published_gap_points", "our_gap_points",
    "explained_points", "explained_low", "explained_high", "share", "share_low", "share_high", "seeds",
    "published_source", "other_published_source",
)  # fmt: skip


def protocol_gaps(
    accuracies: Mapping[str, pd.DataFrame],
    published: PublishedResults,
    own_protocol: Callable[[str, str, int], str | None],
) -> pd.DataFrame:
    """One row per pair of methods that are published under different protocols, both of which were evaluated.

    Args:
        accuracies: protocol -> rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        published: what the sources print.
        own_protocol: (data set, method, IPC) -> which of the protocols is that of the method's publication; ``None``: none.

    Returns:
        Columns ``COLUMNS``, by the module's definition; A is ``method``, B ``other``. Gaps below 0.1 points are left out.
        Intervals are missing with fewer than two common distillation seeds.
    """
    places = (_MethodsAtPlace(*group, published, own_protocol) for group in _groups(accuracies))
    return _frame([row for place in places for row in place.pairs()])


def _groups(accuracies: Mapping[str, pd.DataFrame]) -> Iterator[tuple[pd.DataFrame, dict[str, Any]]]:
    """Per (data set, network, IPC): a row of each method for its names, and protocol -> method -> means of seeds."""
    keys = ["dataset", "network", "ipc"]
    final = {name: rows[rows["final"] & (rows["method"] != FULL)] for name, rows in accuracies.items()}
    parts = {name: dict(iter(rows.groupby(keys, sort=False))) for name, rows in final.items()}
    for key in dict.fromkeys(key for of in parts.values() for key in of):
        rows = pd.concat([of[key] for of in parts.values() if key in of])
        units = {name: seed_means(of[key]) for name, of in parts.items() if key in of}
        yield rows.drop_duplicates("method").set_index("method", drop=False), units


@dataclass(frozen=True, kw_only=True)
class UnsplitGap:
    """A pair of methods whose published gap cannot be split at a place, and why."""

    dataset_title: str
    network: str
    ipc: int
    method: str
    other: str
    reason: str


def chosen_protocol_gaps(
    accuracies: Mapping[str, pd.DataFrame],
    published: PublishedResults,
    own_protocol: Callable[[str, str, int], str | None],
    pairs: Sequence[tuple[str, str]],
) -> tuple[pd.DataFrame, list[UnsplitGap]]:
    """The gaps of chosen pairs of methods, and why those are missing that cannot be split.

    Args:
        accuracies: as for :func:`protocol_gaps`.
        published: the same.
        own_protocol: the same.
        pairs: names of methods; either may be the one that is published with the higher accuracy.

    Returns:
        Rows as :func:`protocol_gaps` gives them, and an entry for each pair at every other place that has both methods.
    """
    rows: list[dict[str, Any]] = []
    unsplit: list[UnsplitGap] = []
    for named, units in _groups(accuracies):
        place = _MethodsAtPlace(named, units, published, own_protocol)
        for pair in pairs:
            if not set(pair) <= set(named.index):
                continue
            found = place.either(*pair)
            if isinstance(found, str):
                first, titles = named.iloc[0], [str(named.loc[name, "method_title"]) for name in pair]
                unsplit.append(
                    UnsplitGap(
                        dataset_title=str(first["dataset_title"]),
                        network=str(first["network"]),
                        ipc=int(first["ipc"]),
                        method=titles[0],
                        other=titles[1],
                        reason=found,
                    )
                )
            else:
                rows.append(found)
    return _frame(rows), unsplit


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"ipc": "Int64"})


class _MethodsAtPlace:
    """The methods on one data set at one IPC with one network.

    Args:
        named: a row of each method, by its name.
        units: protocol -> method -> means of distillation seeds.
        published: what the sources print.
        own_protocol: as for :func:`protocol_gaps`.
    """

    def __init__(
        self,
        named: pd.DataFrame,
        units: Mapping[str, Mapping[str, pd.Series[float]]],
        published: PublishedResults,
        own_protocol: Callable[[str, str, int], str | None],
    ) -> None:
        self._units = units
        self._rows = {str(method): row for method, row in named.iterrows()}
        self._found = {method: _find(row, published) for method, row in self._rows.items()}
        self._own = {
            method: own_protocol(str(row["dataset"]), method, int(row["ipc"])) for method, row in self._rows.items()
        }

    def pairs(self) -> Iterator[dict[str, Any]]:
        """Every gap, each once."""
        for method, other in permutations(self._rows, 2):
            if self._unsplit(method, other) is None and self._gap(method, other) >= SMALLEST_GAP:
                yield self._row(method, other)

    def either(self, method: str, other: str) -> dict[str, Any] | str:
        """The gap between two methods, the one that is published with the higher accuracy first; or why there is none."""
        reason = self._unsplit(method, other)
        if reason is not None:
            return reason
        gap = self._gap(method, other)
        if abs(gap) < SMALLEST_GAP:
            return f"their published accuracies differ by less than {SMALLEST_GAP} points"
        row = self._row(method, other) if gap > 0 else self._row(other, method)
        if row["seeds"] == 0:
            return "no distillation seed of both methods was evaluated under both protocols"
        return row

    def _unsplit(self, method: str, other: str) -> str | None:
        for name in (method, other):
            title = self._rows[name]["method_title"]
            if self._found[name] is None:
                return f"no source prints an accuracy of {title} here with this network"
            if self._own[name] is None:
                return f"the protocol that {title} is published under is not among `grid.protocols`"
        if self._own[method] == self._own[other]:
            return f"both are published under the protocol {self._own[method]}, which explains nothing of the gap"
        return None

    def _gap(self, method: str, other: str) -> float:
        first, second = self._found[method], self._found[other]
        assert first is not None, "a pair that can be split is published"
        assert second is not None, "a pair that can be split is published"
        return first.accuracy_percent - second.accuracy_percent

    def _row(self, method: str, other: str) -> dict[str, Any]:
        first, second, ours, theirs = self._found[method], self._found[other], self._own[method], self._own[other]
        assert first is not None, "a pair that can be split is published"
        assert second is not None, "a pair that can be split is published"
        assert ours is not None, "a pair that can be split has its protocols"
        assert theirs is not None, "a pair that can be split has its protocols"
        gap = self._gap(method, other)
        return {
            **_names(self._rows[method], self._rows[other]),
            "protocol": ours,
            "other_protocol": theirs,
            "published_percent": first.accuracy_percent,
            "other_published_percent": second.accuracy_percent,
            "published_gap_points": gap,
            **_split(self._units, method, other, ours, theirs, gap),
            "published_source": first.source,
            "other_published_source": second.source,
        }


def _find(row: pd.Series[Any], published: PublishedResults) -> Published | None:
    names = {key: text_or_none(row[key]) for key in ("published_method", "published_dataset")}
    return published.find(**names, ipc=int(row["ipc"]), network=str(row["network"]))


def _names(method: pd.Series[Any], other: pd.Series[Any]) -> dict[str, Any]:
    shared = {key: method[key] for key in ("dataset", "dataset_title", "network", "ipc", "method", "method_title")}
    return {**shared, "other": other["method"], "other_title": other["method_title"]}


def _split(
    units: Mapping[str, Mapping[str, pd.Series[float]]], method: str, other: str, ours: str, theirs: str, gap: float
) -> dict[str, Any]:
    """Our gap, the part E of it that protocols explain, and the share of the published gap; intervals over seeds."""
    nothing = pd.Series(dtype=np.float64)
    four = [units.get(protocol, {}).get(name, nothing) for name in (method, other) for protocol in (ours, theirs)]
    values = pd.concat(four, axis=1, join="inner").to_numpy(np.float64)
    explained: Vector = (values[:, 0] - values[:, 1] + values[:, 2] - values[:, 3]) / 2
    low, high = confidence_interval(explained, POINTS)
    mean = float(explained.mean()) if len(explained) else float("nan")
    return {
        "our_gap_points": float((values[:, 0] - values[:, 3]).mean()) if len(values) else float("nan"),
        "explained_points": mean,
        "explained_low": low,
        "explained_high": high,
        "share": mean / gap,
        "share_low": low / gap,
        "share_high": high / gap,
        "seeds": len(explained),
    }
