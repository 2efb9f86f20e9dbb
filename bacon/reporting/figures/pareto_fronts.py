"""Accuracy against every kind of cost, a panel each, with the methods that no other one beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bacon.reporting.collect.pareto_points import (
    BEATEN,
    FRONT,
    NOISE,
    UNTESTED,
    WITHIN_NOISE,
    CostAxis,
    left_out_note,
    pareto_front,
    told_apart,
)
from bacon.reporting.collect.protocol_text import protocol_note
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
from bacon.reporting.figures.style import method_style

_LINE: dict[str, Any] = {"color": "#555555", "linestyle": "-", "linewidth": 1.0}
_RING: dict[str, Any] = {"marker": "o", "mfc": "none", "mec": "#333333", "linestyle": "none", "mew": 0.7}
_RING_SIZE = 9.5
_DECADES = 0.5
"""Costs that differ by more than this have a logarithmic axis."""


def pareto_figure(points: pd.DataFrame, accuracy: pd.DataFrame, *, title: str) -> FigurePage:
    """One panel for each cost that tells the methods apart.

    Args:
        points: rows of :func:`bacon.reporting.collect.pareto_points.pareto_points` of one data set, network and IPC.
        accuracy: rows of the networks that they were made from, for the protocol.
        title: of the figure.
    """
    axes = told_apart(points)
    rows, columns = grid_shape(max(1, len(axes)))
    figure, panes = panels(rows, columns, width=2.9, height=2.5)
    flat = [ax for line in panes for ax in line]
    for ax, axis in zip(flat, axes, strict=False):
        _panel(ax, points, axis)
    for unused in flat[len(axes) :]:
        unused.set_visible(False)
    for line in panes:
        line[0].set_ylabel("Test accuracy (%)")
    handles = [
        *method_handles(points, line=False),
        Line2D([], [], **_LINE, label="Pareto front"),
        Line2D([], [], **_RING, markersize=7, label="Within noise"),
    ]
    finish(figure, title=title, caption=_caption(points, accuracy, axes), legend=handles)
    # Names are placed on the page as it will be.
    figure.draw_without_rendering()
    for ax, axis in zip(flat, axes, strict=False):
        _name(ax, points, axis)
    return figure


def _caption(points: pd.DataFrame, accuracy: pd.DataFrame, axes: Sequence[CostAxis]) -> str:
    least, most = points["n"].min(), points["n"].max()
    n = str(least) if least == most else f"{least} to {most}"
    bars = "bars: 95 % confidence interval of the accuracy" if points["ci_low"].notna().any() else NO_BARS
    parts = [
        f"Markers: mean accuracy over n = {n} networks and mean cost over distillation seeds; {bars}. Line: Pareto front, the "
        f"methods that no other one beats in both means. Ring: beaten within noise: {WITHIN_NOISE}. Pale: beaten "
        "significantly. Names: of the front, then of those with a ring, where there is room.",
        "Neither ring nor pale, off the front: nothing can be tested." if _untested(points, axes) else "",
        left_out_note(points, axes),
        f"Computed on {'; '.join(points['device'].drop_duplicates())}. {protocol_note(accuracy)}.",
    ]
    return " ".join(filter(None, parts))


def _untested(points: pd.DataFrame, axes: Sequence[CostAxis]) -> bool:
    return any((points[f"front_{axis.name}"] == UNTESTED).any() for axis in axes)


def _known(points: pd.DataFrame, axis: CostAxis) -> pd.DataFrame:
    """The points whose cost is known, with it in the axis' unit."""
    costs = points[axis.name].astype("float64") * axis.factor
    return points.assign(cost=costs)[costs.notna() & points["mean_percent"].notna()]


def _panel(ax: Axes, points: pd.DataFrame, axis: CostAxis) -> None:
    shown = _known(points, axis).assign(stands=points[f"front_{axis.name}"])
    low, high = interval_arms(shown)
    colours = [method_style(str(method)).colour for method in shown["method"]]
    faint = np.where(shown["stands"] == BEATEN, 0.2, 0.6)
    bottom, top = shown["mean_percent"] - low, shown["mean_percent"] + high
    ax.vlines(shown["cost"], bottom, top, colors=[to_rgba(*one) for one in zip(colours, faint, strict=True)], lw=0.7)
    for _, row in shown.iterrows():
        _marker(ax, row, str(row["stands"]))
    _scale(ax, shown["cost"].to_numpy(np.float64))
    ax.set_xlabel(axis.title)
    ax.margins(x=0.1, y=0.1)
    ax.set_xlim(ax.get_xlim())
    ax.plot(*_corners(ax, shown).T, zorder=1, **_LINE)
    ax.grid(axis="y")


def _corners(ax: Axes, shown: pd.DataFrame) -> npt.NDArray[np.float64]:
    """(N, 2) corners of the front's line, to the right edge: the best accuracy is beaten by nothing that costs more."""
    costs, means = shown["cost"].to_numpy(np.float64), shown["mean_percent"].to_numpy(np.float64)
    front = pareto_front(costs, means)
    x, y = np.repeat([*costs[front], ax.get_xlim()[1]], 2), np.repeat(means[front], 2)
    return np.stack([x[1:-1] if len(front) else x[:0], y], axis=1)


def _marker(ax: Axes, row: pd.Series[Any], stands: str) -> None:
    style, pale = method_style(str(row["method"])), stands == BEATEN
    where = ([row["cost"]], [row["mean_percent"]])
    ax.plot(
        *where,
        marker=style.marker,
        color=style.colour,
        mfc=style.face,
        mec="black" if stands == FRONT else style.colour,
        mew=0.9 if stands == FRONT else 0.6,
        markersize=5.5 if stands == FRONT else 4.5,
        alpha=0.4 if pale else 1.0,
        zorder=4 if stands == FRONT else 3,
    )
    if stands == NOISE:
        ax.plot(*where, **_RING, markersize=_RING_SIZE, zorder=3)


def _scale(ax: Axes, costs: Any) -> None:
    """Logarithmic where costs differ much; with a part around zero for a cost of nothing."""
    positive = costs[costs > 0]
    if not len(positive) or (np.log10(positive.max() / positive.min()) <= _DECADES and positive.size == costs.size):
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.ticklabel_format(axis="x", useOffset=False)
        return
    decades = np.log10(positive.max() / positive.min())
    if positive.size == costs.size:
        ax.set_xscale("log")
        steps = (1.0, 2.0, 5.0) if decades < 1.3 else (1.0, 3.0) if decades < 2.5 else (1.0,)
        ax.xaxis.set_major_locator(LogLocator(subs=steps))
    else:
        ax.set_xscale("symlog", linthresh=positive.min())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _name(ax: Axes, points: pd.DataFrame, axis: CostAxis) -> None:
    """Names of the methods on the front, the most accurate first, and then of those beaten within noise."""
    shown = _known(points, axis)
    order = {FRONT: 0, NOISE: 1}
    stands = shown[f"front_{axis.name}"].map(order)
    named = shown.assign(place=stands)[stands.notna()].sort_values(["place", "mean_percent"], ascending=[True, False])
    place_labels(
        ax,
        list(zip(named["cost"], named["mean_percent"], strict=True)),
        [str(title) for title in named["method_title"]],
        taken=list(zip(shown["cost"], shown["mean_percent"], strict=True)),
        steps=[tuple(corner) for corner in _corners(ax, shown)],
    )
