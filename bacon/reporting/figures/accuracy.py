"""Accuracy by method and IPC, with error bars: the summary table as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.figures.canvas import FigurePage, finish, grid_shape, method_handles, panels
from bacon.reporting.figures.full_data import draw_full, full_handle
from bacon.reporting.figures.many_methods import caption_of, many_methods_figure
from bacon.reporting.figures.style import MANY, method_style

TITLE = "Accuracy by method and images per class"


def accuracy_figure(table: pd.DataFrame) -> FigurePage:
    """One panel per data set and evaluation network; methods side by side at each IPC, the full data set as a line.

    More than ``MANY`` methods stand below each other instead (:mod:`bacon.reporting.figures.many_methods`).

    Args:
        table: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
    """
    final = table[table["final"]]
    if final.loc[final["method"] != FULL, "method"].nunique() > MANY:
        return many_methods_figure(table, title=TITLE)
    groups = list(final.groupby(["dataset", "network"], sort=False))
    several_networks = final["network"].nunique() > 1
    rows, columns = grid_shape(len(groups))
    methods = [method for method in final["method"].drop_duplicates() if method != FULL]
    ipcs = max(group["ipc"].nunique() for _, group in groups)
    width = max(3.4 if columns > 1 else 5.0, 0.6 + 0.25 * ipcs * len(methods))
    figure, axes = panels(rows, columns, width=width, height=2.7)
    flat = [one for row in axes for one in row]
    for ax, ((_, network), group) in zip(flat, groups, strict=False):
        _panel(ax, group, methods)
        title = str(group["dataset_title"].iloc[0])
        ax.set_title(f"{title}, {network}" if several_networks else title)
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    for row in axes:
        row[0].set_ylabel("Test accuracy (%)")
    handles = method_handles(final, line=False)
    if FULL in set(final["method"]):
        handles.append(full_handle(final))
    finish(figure, title=TITLE, caption=caption_of(table), legend=handles)
    return figure


def _panel(ax: Axes, group: pd.DataFrame, methods: Sequence[str]) -> None:
    distilled = group[group["method"] != FULL]
    ipcs = sorted(int(ipc) for ipc in distilled["ipc"].unique())
    step = 0.7 / max(len(methods), 1)
    for place, method in enumerate(methods):
        of_method = distilled[distilled["method"] == method]
        if of_method.empty:
            continue
        style, offset = method_style(method), step * (place - (len(methods) - 1) / 2)
        by_ipc = of_method.groupby("ipc")["test_accuracy_percent"]
        means, sds = by_ipc.mean(), by_ipc.std().fillna(0.0)
        at = [ipcs.index(int(ipc)) + offset for ipc in means.index]
        # Beside the marker, which would hide them.
        dots = [ipcs.index(int(ipc)) + offset - 0.4 * step for ipc in of_method["ipc"]]
        ax.scatter(
            dots, of_method["test_accuracy_percent"], s=6, color=style.colour, alpha=0.35, linewidths=0, zorder=2
        )
        ax.errorbar(
            at,
            means.to_numpy(np.float64),
            yerr=sds.to_numpy(np.float64),
            fmt=style.marker,
            color=style.colour,
            mfc=style.face,
            # Small markers and wide caps: the bars are often shorter than a marker.
            markersize=3.6,
            capsize=3.6,
            elinewidth=1.2,
            capthick=1.2,
            zorder=3,
            label=str(of_method["method_title"].iloc[0]),
        )
    _full_line(ax, group)
    ax.set_xticks(range(len(ipcs)), [str(ipc) for ipc in ipcs])
    ax.set_xlim(-0.5, len(ipcs) - 0.5)
    for edge in np.arange(len(ipcs) - 1) + 0.5:
        ax.axvline(edge, color="#DDDDDD", linewidth=0.8, zorder=0)
    ax.set_xlabel("Images per class (IPC)")
    ax.grid(axis="y")
    ax.margins(y=0.08)


def _full_line(ax: Axes, group: pd.DataFrame) -> None:
    values = group.loc[group["method"] == FULL, "test_accuracy_percent"]
    if values.empty:
        return
    draw_full(ax, values)
