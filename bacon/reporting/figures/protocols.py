"""The heat map of methods under several evaluation protocols."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.figures.canvas import NO_BARS, FigurePage, finish, panels
from bacon.reporting.figures.heatmap import MAP, RANGE, column_names, readable
from bacon.reporting.figures.protocol_pages import COLUMN, FRAME, MANY, NAMES, layout, page_title, pages
from bacon.reporting.tables.protocol_tables import DOWN, UP, controls_first, rank_text

TITLE = "Accuracy by evaluation protocol"


def protocols_figure(table: pd.DataFrame, *, page: int = 0) -> FigurePage:
    """One panel per data set, network and IPC: methods down, protocols across; mean, half an interval, n, rank.

    Args:
        table: rows of :func:`bacon.reporting.collect.protocol_matrix.protocol_matrix`.
        page: which of the pages, from 0 (:mod:`bacon.reporting.figures.protocol_pages`).
    """
    parts = table.groupby(["dataset", "network"], sort=False)
    groups = [one for _, part in parts for one in part.groupby("ipc", sort=False)]
    columns, methods = table["protocol"].nunique(), table["method"].nunique()
    chosen = layout(methods=methods, protocols=columns, ipcs=max(part["ipc"].nunique() for _, part in parts))
    every = pages([group for _, group in groups], chosen)
    shown = every[page]
    across = min(chosen.across, len(shown))
    width = (NAMES if chosen.lines > 1 or across == 1 else NAMES / across) + COLUMN * columns
    figure, axes = panels(math.ceil(len(shown) / across), across, width=width, height=FRAME + chosen.row * methods)
    flat = np.array(axes).ravel()
    named: list[str] = []
    for place, (ax, group) in enumerate(zip(flat, shown, strict=False)):
        # Beside a panel with the same rows, which names them.
        named = _panel(ax, group, beside=named if place % across and methods >= MANY else [])
        network = f", {group['network'].iloc[0]}" if table["network"].nunique() > 1 else ""
        ax.set(title=f"{group['dataset_title'].iloc[0]}{network}, IPC {group['ipc'].iloc[0]}", ylabel="")
    for unused in flat[len(shown) :]:
        unused.set_visible(False)
    first = table["protocol_title"].iloc[0]
    half = (
        " ± half of its 95 % interval over distillation seeds (n networks)"
        if table["ci_low"].notna().any()
        else f" (n networks; {NO_BARS})"
    )
    caption = (
        f"Mean test accuracy in percent{half}; # rank among "
        f"methods, without the full data set; {UP} {DOWN} places gained or lost against {first}, * where the order with "
        f"another method is reversed beyond the noise. {RANGE}"
    )
    finish(figure, title=page_title(TITLE, page, len(every)), caption=caption)
    return figure


def _panel(ax: Axes, group: pd.DataFrame, *, beside: Sequence[str]) -> list[str]:
    """Draw a panel, without names where the rows ``beside`` it are its own; its rows."""
    ordered = controls_first(group)
    rows, columns = list(ordered["method"].drop_duplicates()), list(group["protocol_title"].drop_duplicates())
    values = np.full((len(rows), len(columns)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    for _, row in ordered.iterrows():
        place = rows.index(row["method"]), columns.index(row["protocol_title"])
        values[place], texts[place] = row["mean_percent"], _text(row)
    own = values[[name != FULL for name in rows]]
    titles = ordered.drop_duplicates("method")["method_title"]
    sns.heatmap(
        values,
        ax=ax,
        cmap=MAP,
        vmin=float(np.nanmin(own)),
        vmax=float(np.nanmax(own)),
        annot=texts,
        fmt="",
        annot_kws={"fontsize": 6},
        cbar=False,
        xticklabels=columns,
        yticklabels=list(titles) if rows != list(beside) else False,
        linewidths=0.4,
    )
    readable(ax)
    column_names(ax, columns, level=11)
    return rows


def _text(row: pd.Series[Any]) -> str:
    """Mean ± half its interval over n and rank; where the interval is cut off at 0 or 100, its larger half."""
    halves = row["mean_percent"] - row["ci_low"], row["ci_high"] - row["mean_percent"]
    half = "" if math.isnan(row["ci_low"]) else f" ± {max(halves):.1f}"
    return f"{row['mean_percent']:.1f}{half}\n({row['n']}){rank_text(row)}"
