"""Two-level summary per cell group, ours and published side by side, in long form and arranged in blocks for reading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bacon.reporting.collect.footnotes import Footnotes
from bacon.reporting.collect.protocol_text import FULL, TIMES, protocol_note
from bacon.reporting.collect.published import Published, PublishedResults
from bacon.reporting.collect.statistics import TwoLevel, two_level

# Columns of the long form with the names that they have in ``TwoLevel``.
_SHARED = ("sd_distillation", "sd_evaluation", "ci_low", "ci_high", "df", "n")
# Published accuracies are of ConvNets; the cell's own network goes by this name.
PUBLISHED_NETWORK = "convnet"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one method reaches at one IPC: ours and published, never merged."""

    ours: TwoLevel
    published: Published | None


@dataclass(frozen=True, kw_only=True)
class Block:
    """The results on one data set with one evaluation network."""

    dataset: str
    network: str
    title: str
    ipcs: tuple[int, ...]
    has_published: bool
    """Whether anything is published on this data set for these methods and IPCs; if not there is no such column."""
    rows: tuple[tuple[str, tuple[Entry | None, ...]], ...]
    """Method title and one entry per IPC; the full data set first, its one result repeated at every IPC."""


def summarise(accuracy: pd.DataFrame, published: PublishedResults) -> pd.DataFrame:
    """Long form: one row per data set, method, IPC and evaluation network, from the networks on the final images.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        published: what the sources print.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc (missing for the full data set), network, iteration,
        mean_percent (each distillation seed weighs the same), sd_percent (sample standard deviation over the n networks),
        sd_distillation, sd_evaluation, ci_low, ci_high, df, n (see :class:`bacon.reporting.collect.statistics.TwoLevel`),
        distillation_seeds, evaluation_seeds (most per seed), published_percent, published_sd_percent, published_architecture,
        published_source, published_dataset, published_method, published_note, gap_points (ours minus published),
        published_in_interval (missing without both), protocol, network_text.
    """
    final = accuracy[accuracy["final"]]
    keys = ["dataset", "method", "ipc", "network"]
    rows = [_summary_row(group, published) for _, group in final.groupby(keys, sort=False, dropna=False)]
    table = pd.DataFrame(rows).astype({"ipc": "Int64", "published_in_interval": "boolean"})
    for column in ("published_percent", "published_sd_percent", "gap_points"):
        table[column] = table[column].astype("float64")
    # The reference comes first within its data set and network; everything else keeps the order of the configuration.
    order = table.assign(
        _dataset=_order(table["dataset"]), _network=_order(table["network"]), _full=table["method"] != FULL
    )
    return table.loc[order.sort_values(["_dataset", "_network", "_full"], kind="stable").index].reset_index(drop=True)


def _summary_row(group: pd.DataFrame, published: PublishedResults) -> dict[str, Any]:
    first = group.iloc[0]
    ours = networks_summary(group)
    ipc = None if pd.isna(first["ipc"]) else int(first["ipc"])
    names = {key: text_or_none(first[key]) for key in ("published_method", "published_dataset")}
    found = published.find(**names, ipc=ipc, network=str(first["network"]))
    return {
        **{key: first[key] for key in ("dataset", "dataset_title", "method", "method_title")},
        "ipc": ipc,
        **{key: first[key] for key in ("network", "iteration")},
        "mean_percent": ours.mean,
        "sd_percent": ours.sd,
        **{name: getattr(ours, name) for name in _SHARED},
        "distillation_seeds": ours.seeds,
        "evaluation_seeds": int(group["evaluation_seed"].nunique()),
        "published_dataset": first["published_dataset"],
        "published_method": first["published_method"],
        "published_percent": found.accuracy_percent if found else np.nan,
        "published_sd_percent": found.std_percent if found and found.std_percent is not None else np.nan,
        "published_architecture": found.architecture if found else "",
        "published_source": found.source if found else "",
        "published_note": found.note if found else "",
        "gap_points": ours.mean - found.accuracy_percent if found else np.nan,
        "published_in_interval": _inside(ours, found),
        **{key: " | ".join(group[key].drop_duplicates()) for key in ("protocol", "network_text")},
    }


def text_or_none(value: Any) -> str | None:
    """Text of an entry of a table; ``None`` where it is missing."""
    return None if pd.isna(value) else str(value)


def networks_summary(rows: pd.DataFrame) -> TwoLevel:
    """Mean, interval and spreads in percent of the networks of one method at one place, by distillation seed.

    Args:
        rows: columns method, seed and test_accuracy_percent; at least one row. Those of the full data set, which no seed made,
            are the independent units themselves.
    """
    groups = [one["test_accuracy_percent"].to_numpy(np.float64) for _, one in rows.groupby("seed", dropna=False)]
    return two_level(groups, nested=rows["method"].iloc[0] != FULL)


def _inside(ours: TwoLevel, found: Published | None) -> bool | None:
    if found is None or math.isnan(ours.ci_low):
        return None
    return ours.ci_low <= found.accuracy_percent <= ours.ci_high


def blocks(summary: pd.DataFrame) -> list[Block]:
    """The long form arranged for reading: one block per data set and evaluation network."""
    several = summary["network"].nunique() > 1
    return [
        _block(
            group, f"{group['dataset_title'].iloc[0]}, {network}" if several else str(group["dataset_title"].iloc[0])
        )
        for (_, network), group in summary.groupby(["dataset", "network"], sort=False)
    ]


def _block(group: pd.DataFrame, title: str) -> Block:
    ipcs = tuple(sorted(int(ipc) for ipc in group["ipc"].dropna().unique()))
    rows = []
    for _, of_method in group.groupby("method", sort=False):
        by_ipc = {None if pd.isna(row["ipc"]) else int(row["ipc"]): _entry(row) for _, row in of_method.iterrows()}
        entries = tuple(by_ipc.get(None, by_ipc.get(ipc)) for ipc in ipcs)
        rows.append((str(of_method["method_title"].iloc[0]), entries))
    return Block(
        dataset=str(group["dataset"].iloc[0]),
        network=str(group["network"].iloc[0]),
        title=title,
        ipcs=ipcs,
        has_published=bool(group["published_percent"].notna().any()),
        rows=tuple(rows),
    )


def _entry(row: pd.Series[Any]) -> Entry:
    found = None
    if not pd.isna(row["published_percent"]):
        sd = row["published_sd_percent"]
        found = Published(
            accuracy_percent=float(row["published_percent"]),
            std_percent=None if pd.isna(sd) else float(sd),
            architecture=row["published_architecture"],
            source=row["published_source"],
            note=row["published_note"],
        )
    ours = TwoLevel(
        mean=float(row["mean_percent"]),
        sd=float(row["sd_percent"]),
        seeds=int(row["distillation_seeds"]),
        **{name: row[name] for name in _SHARED},
    )
    return Entry(ours=ours, published=found)


def network_counts(accuracy: pd.DataFrame) -> str:
    """How the n networks per cell group come about: ``n = 15 networks (3 distillation seeds x 5 evaluation seeds)``."""
    final = accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    groups = final.groupby(["dataset", "method", "ipc", "network"])
    sizes = {(len(group), group["seed"].nunique(), group["evaluation_seed"].nunique()) for _, group in groups}
    if len(sizes) != 1:
        return f"n networks (distillation seeds {TIMES} evaluation seeds, which differ between cells)"
    n, seeds, evaluations = sizes.pop()
    origin = f"{seeds} distillation seed{_s(seeds)} {TIMES} {evaluations} evaluation seed{_s(evaluations)}"
    return f"n = {n} network{_s(n)} ({origin})"


def notes(accuracy: pd.DataFrame, summary: pd.DataFrame, *, footnotes: Footnotes | None = None) -> list[str]:
    """Notes below the table, one sentence group a line: meaning, protocol, and the published columns if any.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        summary: its :func:`summarise`.
        footnotes: whose marks stand in the table, where these are rows of a larger one; by default those of ``summary``.
    """
    lines = [
        f"Test accuracy in percent at the last epoch, mean [95 % confidence interval] (n): {network_counts(accuracy)} trained "
        "on the final images. The interval is Student's t over the means of the distillation seeds. sd: standard deviation "
        "between distillation seeds / between evaluation networks of one seed (variance components)."
    ]
    if FULL in set(summary["method"]):
        lines.append(
            "The full data set does not depend on IPC: its one result is repeated in every column. It has no distillation "
            "seeds; its interval is over its networks."
        )
    lines.append(f"Protocol (ours): {protocol_note(accuracy)}.")
    if summary["published_percent"].notna().any():
        text = "Published: as the source prints it, under the source's protocol; ± where the source gives one. "
        text += "* where it lies outside our interval."
        sources = summary.loc[summary["published_percent"].notna(), "published_source"].drop_duplicates()
        lines.append(f"{text} Sources: {'; '.join(sources)}.")
        lines += (footnotes or Footnotes(summary["published_note"])).lines(summary["published_note"])
    return lines


def _order(values: pd.Series[str]) -> pd.Series[int]:
    return values.map({value: place for place, value in enumerate(values.drop_duplicates())})


def _s(count: int) -> str:
    return "" if count == 1 else "s"
