"""Published accuracies: every row kept with its source, one preferred row per (method, data set, IPC, evaluation network).

A number is compared with ours only where the source names the network that we evaluate with (``networks`` in
``resources/published_sources.yaml``), and not where it is known to be a copy of another row (``not_targets`` there). A row
that a source files under another method's name is that method's (``other_methods`` there).

The rule that chooses, in this order:

1. rows whose note does not say ``SUPERSEDED`` (withdrawn or changed by the source) before rows whose note does; likewise
   rows that are the method's own number before rows noted as another quantity (``NOT the``);
2. the method's own paper or repository (``own`` in ``resources/published_sources.yaml``);
3. sources that quote the number, in the order of ``quoting`` there;
4. DC-BENCH, the average over augmentations before the best: another protocol;
5. anything else; and in a tie the row that stands first in the file.

A preferred row with a note or a remark (``remarks`` there: what is known of a whole source) is shown with a mark.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bacon.reporting.collect.source_rules import source_rules
from bacon.runtime.errors import BaconError

COLUMNS = ("method", "dataset", "ipc", "accuracy_percent", "std_percent", "architecture", "source", "note")
_DC_BENCH = re.compile(r"DC-bench.*\((Avg|Best)\)")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published accuracy."""

    accuracy_percent: float
    std_percent: float | None
    architecture: str
    source: str
    note: str


def read_published(path: Path) -> pd.DataFrame:
    """Every row of ``published_results.csv``, in file order.

    Returns:
        Columns ``COLUMNS``: ``ipc`` as text (a number or ``full``), ``accuracy_percent`` and ``std_percent`` float (missing
        where none is given), the rest text, empty if there is none.

    Raises:
        BaconError: the file is missing, has other columns, or a number that is none.
    """
    if not path.is_file():
        raise BaconError(
            f"{path}: the published results are missing; they are part of the repository, restore the file"
        )
    rows = pd.read_csv(path, dtype="str", keep_default_na=False)
    if tuple(rows.columns) != COLUMNS:
        raise BaconError(f"{path}: columns are {', '.join(rows.columns)}; expected {', '.join(COLUMNS)}")
    bad = rows[~rows["ipc"].str.fullmatch(r"\d+|full")]
    if len(bad):
        raise BaconError(f"{path}: line {bad.index[0] + 2}: ipc is {bad['ipc'].iloc[0]!r}, expected a number or full")
    for column in ("accuracy_percent", "std_percent"):
        try:
            rows[column] = pd.to_numeric(rows[column].replace("", None)).astype("float64")
        except ValueError as error:
            raise BaconError(f"{path}: `{column}` holds something that is not a number ({error})") from error
    return rows


_KEYS = ["method", "dataset", "ipc", "network"]


def with_network(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows under the method that they belong to, with ``network``: our name of the network, empty where there is none."""
    rules = source_rules()
    named = _strings(rows, "method", "source")
    networks = [rules.network(*one) for one in _strings(rows, "method", "architecture")]
    return rows.assign(method=[rules.method(*one) for one in named], network=networks)


def preferred(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per (method, data set, IPC, network), chosen by the rule in this module's docstring; file order of the groups.

    Args:
        rows: all rows, as :func:`read_published` gives them.

    Returns:
        ``COLUMNS`` and network, as :func:`with_network` gives it.
    """
    rows = with_network(rows)
    ranks = [rank(method, source, note) for method, source, note in _strings(rows, "method", "source", "note")]
    ranked = rows.assign(_rank=ranks).sort_values("_rank", kind="stable")
    chosen = ranked.drop_duplicates(_KEYS).sort_index()
    return chosen.drop(columns="_rank")


def rank(method: str, source: str, note: str) -> int:
    """Place of a row in the order of preference; the smallest is preferred."""
    doubt = 1000 * ("SUPERSEDED" in note) + 500 * ("NOT the" in note)
    rules = source_rules()
    own = rules.own.get(method, ())
    for place, prefix in enumerate((*own, *rules.quoting)):
        if source.startswith(prefix):
            # Own sources come before every quoting one, however many there are.
            return doubt + (place if place < len(own) else 100 + place)
    if found := _DC_BENCH.search(source):
        return doubt + (200 if found[1] == "Avg" else 201)
    return doubt + 300


def remark(row: Mapping[Hashable, Any]) -> str:
    """A row's note and what is known of its source for this method and of its cell; empty if there is nothing.

    Args:
        row: method, dataset, ipc, source and note.
    """
    rules, source = source_rules(), row["source"]
    known = [one.text for one in rules.remarks if row["method"] in one.methods and source.startswith(one.source)]
    copied = rules.not_target(row["method"], row["dataset"], row["ipc"])
    parts = [row["note"], *known, copied]
    return "; ".join(part for part in parts if part)


class PublishedResults:
    """Published accuracies by our names of methods and data sets.

    Args:
        rows: every row, as :func:`read_published` gives them.
    """

    @classmethod
    def read(cls, path: Path) -> PublishedResults:
        """The results in a CSV such as ``resources/published_results.csv``; :class:`BaconError` as :func:`read_published`."""
        return cls(read_published(path))

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self._named = with_network(rows)
        chosen = preferred(rows)
        rules = source_rules()
        self._by_key = {
            (_plain(row["method"]), row["dataset"], row["ipc"], row["network"]): _published(row)
            for row in chosen.to_dict("records")
            if row["network"] and not rules.not_target(row["method"], row["dataset"], row["ipc"])
        }

    def find(
        self, *, published_method: str | None, published_dataset: str | None, ipc: int | None, network: str
    ) -> Published | None:
        """The preferred published accuracy, or ``None``.

        Args:
            published_method: the method's name in the CSV, ``None`` where nothing is published on it; compared only by
                its letters and digits, so ``k-center`` is ``K-Center``.
            published_dataset: the data set's name in the CSV, compared in the same way.
            ipc: images per class, ``None`` for the full data set.
            network: our name of the evaluation network.
        """
        key = _key(published_method, published_dataset, ipc)
        return None if key is None else self._by_key.get((*key, network))

    def all_of(
        self, *, published_method: str | None, published_dataset: str | None, ipc: int | None, network: str
    ) -> pd.DataFrame:
        """Every row of one (method, data set, IPC, network), the preferred one too; arguments as for :meth:`find`."""
        key = _key(published_method, published_dataset, ipc)
        rows = self._named
        if key is None:
            return rows.iloc[:0]
        chosen = (rows["method"].map(_plain) == key[0]) & (rows["dataset"] == key[1]) & (rows["ipc"] == key[2])
        return rows[chosen & (rows["network"] == network)]


def _published(row: Mapping[Hashable, Any]) -> Published:
    std = row["std_percent"]
    return Published(
        accuracy_percent=float(row["accuracy_percent"]),
        std_percent=None if pd.isna(std) else float(std),
        architecture=row["architecture"],
        source=row["source"],
        note=remark(row),
    )


def _key(method: str | None, dataset: str | None, ipc: int | None) -> tuple[str, str, str] | None:
    if method is None or dataset is None:
        return None
    return _plain(method), dataset, "full" if ipc is None else str(ipc)


def same_method(one: str, other: str) -> bool:
    """Whether two names are one method's: letters and digits count, case and punctuation do not."""
    return _plain(one) == _plain(other)


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", title.casefold())


def _strings(rows: pd.DataFrame, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(map(str, values)) for values in rows[list(columns)].itertuples(index=False, name=None)]
