"""The heat map of methods under several evaluation protocols."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.figures.canvas import FigurePage, finish, grid_shape, panels
from bacon.reporting.figures.heatmap import MAP, RANGE, column_names, readable
from bacon.reporting.tables.protocol_tables import DOWN, UP, controls_first, rank_text

TITLE = "Accuracy by evaluation protocol"


def protocols_figure(table: pd.DataFrame) -> FigurePage:
    """One panel per data set, network and IPC: methods down, protocols across; mean, half an interval, n, rank.

    Args:
        table: rows of :func:`bacon.reporting.collect.protocol_matrix.protocol_matrix`.
    """
    groups = list(table.groupby(["dataset", "network", "ipc"], sort=False))
    columns, methods = table["protocol"].nunique(), table["method"].nunique()
    rows, across = grid_shape(len(groups), widest=1 if columns > 4 else 2)
    figure, axes = panels(rows, across, width=1.6 + 0.95 * columns, height=1.2 + 0.42 * methods)
    flat = np.array(axes).ravel()
    several = table["network"].nunique() > 1
    for ax, ((_, network, ipc), group) in zip(flat, groups, strict=False):
        _panel(ax, group)
        ax.set(title=f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}, IPC {ipc}", ylabel="")
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    first = table["protocol_title"].iloc[0]
    caption = (
        "Mean test accuracy in percent ± half of its 95 % interval over distillation seeds (n networks); # rank among "
        f"methods, without the full data set; {UP} {DOWN} places gained or lost against {first}, * where the order with "
        f"another method is reversed beyond the noise. {RANGE}"
    )
    finish(figure, title=TITLE, caption=caption)
    return figure


def _panel(ax: Axes, group: pd.DataFrame) -> None:
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
        yticklabels=list(titles),
        linewidths=0.4,
    )
    readable(ax)
    column_names(ax, columns, level=11)


def _text(row: pd.Series[Any]) -> str:
    """Mean ± half its interval over n and rank; where the interval is cut off at 0 or 100, its larger half."""
    halves = row["mean_percent"] - row["ci_low"], row["ci_high"] - row["mean_percent"]
    half = "" if math.isnan(row["ci_low"]) else f" ± {max(halves):.1f}"
    return f"{row['mean_percent']:.1f}{half}\n({row['n']}){rank_text(row)}"
