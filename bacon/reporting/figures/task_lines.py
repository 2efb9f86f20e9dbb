"""A measurement of a downstream task against its abscissa: a line for each method, with its interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.figures.canvas import FigurePage, finish, grid_shape, interval_arms, method_handles, panels
from bacon.reporting.figures.full_data import full_handle
from bacon.reporting.figures.style import method_style

INTERVALS = (
    "Mean over all networks; bars: 95 % interval over the distillation seeds, of the full data set over its networks, where "
    "there are at least two."
)


def lines_figure(
    table: pd.DataFrame,
    *,
    title: str,
    caption: str,
    xlabel: str,
    ylabel: str,
    conditions: Mapping[str, str],
    x_scale: float = 1.0,
) -> FigurePage:
    """One panel for each data set, network, IPC and condition; the full data set stands in the panels of every IPC.

    Args:
        table: rows of :func:`bacon.reporting.collect.task_results.summarise_task` of one metric, a fraction that is drawn in
            percent, all with a place ``at``; of the metric without condition where ``conditions`` has the empty one.
        title: of the figure.
        caption: what it shows; what the bars are is added.
        xlabel: what ``at`` is.
        ylabel: what the metric is.
        conditions: condition -> its name in titles, in the order of panels.
        x_scale: factor of ``at``.
    """
    shown = table[table["condition"].isin(list(conditions)) & table["at"].notna()]
    groups = [
        (dataset, network, ipc, condition)
        for (dataset, network), of_place in shown.groupby(["dataset", "network"], sort=False)
        for ipc in (sorted(of_place["ipc"].dropna().unique()) or [pd.NA])
        for condition in conditions
        if (of_place["condition"] == condition).any()
    ]
    rows, columns = grid_shape(len(groups), widest=min(4, max(len(conditions), 2)))
    figure, axes = panels(rows, columns, width=2.6, height=2.3)
    flat = [one for row in axes for one in row]
    several = shown["network"].nunique() > 1
    for ax, (dataset, network, ipc, condition) in zip(flat, groups, strict=False):
        here = shown[
            (shown["dataset"] == dataset) & (shown["network"] == network) & (shown["condition"] == condition)
            & (shown["ipc"].isna() | (shown["ipc"] == ipc).fillna(False))
        ]  # fmt: skip
        _panel(ax, here, x_scale)
        name = f"{here['dataset_title'].iloc[0]}{f', {network}' if several else ''}"
        parts = [name, *([] if pd.isna(ipc) else [f"IPC {ipc}"])]
        ax.set_title(", ".join(parts) + (f"\n{conditions[condition]}" if conditions[condition] else ""))
        ax.set(xlabel=xlabel, ylabel=ylabel)
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    handles = method_handles(shown, line=True)
    if FULL in set(shown["method"]):
        handles.append(full_handle(shown))
    finish(figure, title=title, caption=f"{caption} {INTERVALS}", legend=handles)
    return figure


def _panel(ax: Axes, group: pd.DataFrame, x_scale: float) -> None:
    for method, rows in group.groupby("method", sort=False):
        ordered, style = rows.sort_values("at"), method_style(str(method))
        ax.errorbar(
            x_scale * ordered["at"].to_numpy(np.float64),
            100 * ordered["mean"].to_numpy(np.float64),
            yerr=100 * interval_arms(ordered, "mean"),
            color=style.colour,
            marker=style.marker,
            mfc=style.face,
            linestyle=style.dash,
            capsize=2.5,
            elinewidth=1.0,
            markersize=4,
        )
    ax.grid(axis="y")
