"""What accuracy costs: distillation time against accuracy, with the methods that no other one beats in both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bacon.reporting.collect.pareto_points import pareto_front
from bacon.reporting.collect.protocol_text import FULL, protocol_note
from bacon.reporting.figures.canvas import (
    NO_BARS,
    FigurePage,
    finish,
    grid_shape,
    interval_arms,
    method_handles,
    panels,
)
from bacon.reporting.figures.labels import place_labels
from bacon.reporting.figures.style import MANY, method_style

TITLE = "Accuracy and cost of distillation"
_FRONT: dict[str, Any] = {"color": "#999999", "linestyle": (0, (4, 2)), "linewidth": 1.0}


def cost_figure(summary: pd.DataFrame, cost: pd.DataFrame, accuracy: pd.DataFrame) -> FigurePage:
    """One panel per data set, evaluation network and IPC: mean wall time of one distilled set against mean accuracy.

    Args:
        summary: rows of :func:`bacon.reporting.collect.summary.summarise`.
        cost: rows of :func:`bacon.reporting.tables.cost_tables.summarise_cost`.
        accuracy: rows that the summary was made from, for the protocol.
    """
    points = summary[summary["method"] != FULL].merge(
        cost[["dataset", "method", "ipc", "wall_seconds_mean", "wall_seconds_sd", "device"]].astype({"ipc": "Int64"}),
        on=["dataset", "method", "ipc"],
    )
    groups = list(points.groupby(["dataset", "network", "ipc"], sort=False))
    rows, columns = grid_shape(len(groups))
    figure, axes = panels(rows, columns, width=3.3 if columns > 1 else 5.0, height=2.5)
    flat = np.array(axes).ravel()
    several = points["network"].nunique() > 1
    for ax, ((_, network, ipc), group) in zip(flat, groups, strict=False):
        _panel(ax, group)
        ax.set_title(f"{group['dataset_title'].iloc[0]}, {f'{network}, ' if several else ''}IPC {ipc}")
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    for row in axes:
        row[0].set_ylabel("Test accuracy (%)")
    handles = [*method_handles(points, line=False), Line2D([], [], **_FRONT, label="Pareto front")]
    counts, used = points["n"], accuracy[accuracy["final"] & (accuracy["method"] != FULL)]
    n = str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    caption = (
        f"Markers: mean accuracy over n = {n} networks and mean time; {_bars(points)}. Pareto front: methods that no other "
        "beats in both time and accuracy. Time to make one distilled set, on "
        f"{'; '.join(points['device'].drop_duplicates())}; neither evaluation nor the training of networks that the method "
        f"needs beforehand, which its cells share, is counted. {protocol_note(used)}."
    )
    finish(figure, title=TITLE, caption=caption, legend=handles)
    # Names are placed on the page as it will be.
    figure.draw_without_rendering()
    for ax, (_, group) in zip(flat, groups, strict=False):
        if len(group) > MANY:
            _name_front(ax, group)
    return figure


def _bars(points: pd.DataFrame) -> str:
    """What the bars are, of those that there are."""
    shown = {
        "vertical bars: 95 % confidence interval of the accuracy": points["ci_low"],
        "horizontal bars: ± sd of the time over distillation seeds": points["wall_seconds_sd"],
    }
    return "; ".join(name for name, values in shown.items() if values.notna().any()) or NO_BARS


def _panel(ax: Axes, group: pd.DataFrame) -> None:
    seconds, means = group["wall_seconds_mean"].to_numpy(np.float64), group["mean_percent"].to_numpy(np.float64)
    front = pareto_front(seconds, means)
    ax.step(seconds[front], means[front], where="post", zorder=1, **_FRONT)
    for (_, row), arms in zip(group.iterrows(), interval_arms(group).T, strict=True):
        style = method_style(str(row["method"]))
        # A bar to zero or below has no place on a logarithmic axis.
        spread = 0.0 if pd.isna(row["wall_seconds_sd"]) else row["wall_seconds_sd"]
        low = min(spread, 0.9 * row["wall_seconds_mean"])
        ax.errorbar(
            row["wall_seconds_mean"],
            row["mean_percent"],
            yerr=arms[:, None],
            xerr=[[low], [spread]],
            fmt=style.marker,
            color=style.colour,
            mfc=style.face,
            markersize=5,
            capsize=3,
            elinewidth=1.0,
            zorder=3,
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if seconds.max() / seconds.min() < 300 else (1.0,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("Time of one distilled set (s)")
    ax.margins(x=0.12, y=0.12)
    ax.grid(axis="y")


def _name_front(ax: Axes, group: pd.DataFrame) -> None:
    """Names of the methods on the Pareto front, the most accurate first: among many, a legend is far from the eye."""
    seconds, means = group["wall_seconds_mean"].to_numpy(np.float64), group["mean_percent"].to_numpy(np.float64)
    front = pareto_front(seconds, means)
    # The front's line: level to the next method's time, then up.
    corners = np.stack([np.repeat(seconds[front], 2)[1:], np.repeat(means[front], 2)[:-1]], axis=1)
    best = front[::-1]
    place_labels(
        ax,
        list(zip(seconds[best], means[best], strict=True)),
        [str(title) for title in group["method_title"].iloc[best]],
        taken=list(zip(seconds, means, strict=True)),
        steps=[tuple(corner) for corner in corners],
    )
