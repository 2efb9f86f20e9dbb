"""Accuracy of more methods than stand side by side: a line of its own for each, named at the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bacon.reporting.collect.protocol_text import FULL, protocol_note
from bacon.reporting.collect.summary import network_counts
from bacon.reporting.figures.canvas import FigurePage, finish, panels
from bacon.reporting.figures.full_data import full_handle, full_text
from bacon.reporting.figures.style import method_style

_LINE = 0.19  # inches a method
_WORDS = 1.4  # methods whose room words beneath the last one take: two lines
# The full data set's line is drawn where it needs at most this share more width than the methods; else it is stated.
_STRETCH = 0.5


def many_methods_figure(table: pd.DataFrame, *, title: str) -> FigurePage:
    """Rows of panels: data set (and evaluation network); columns: IPC. In a panel a line per method, in the order of the grid.

    Args:
        table: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        title: of the figure.
    """
    final = table[table["final"]]
    groups = list(final.groupby(["dataset", "network"], sort=False))
    several = final["network"].nunique() > 1
    ipcs = sorted(int(ipc) for ipc in final["ipc"].dropna().unique())
    methods = list(final.loc[final["method"] != FULL, "method"].drop_duplicates())
    figure, axes = panels(len(groups), len(ipcs), width=2.2, height=0.75 + _LINE * (len(methods) + _WORDS))
    for line, ((_, network), group) in zip(axes, groups, strict=True):
        name = str(group["dataset_title"].iloc[0]) + (f", {network}" if several else "")
        for ax, ipc in zip(line, ipcs, strict=True):
            _panel(ax, group, ipc, methods, named=ax is line[0])
            ax.set_title(f"{name}, IPC {ipc}")
    for ax in axes[-1]:
        ax.set_xlabel("Test accuracy (%)")
    legend = [full_handle(final)] if FULL in set(final["method"]) else []
    finish(figure, title=title, caption=caption_of(table), legend=legend)
    return figure


def caption_of(table: pd.DataFrame) -> str:
    """What markers, bars and dots of accuracies are, and the protocol."""
    return (
        f"Marker and bar: mean ± sd over n networks; {network_counts(table)}, sd: sample standard deviation. Dots: single "
        f"networks. {protocol_note(table[table['final']])}."
    )


def _panel(ax: Axes, group: pd.DataFrame, ipc: int, methods: Sequence[str], *, named: bool) -> None:
    titles = dict(group[["method", "method_title"]].itertuples(index=False, name=None))
    for place, method in enumerate(methods):
        values = group.loc[(group["method"] == method) & (group["ipc"] == ipc), "test_accuracy_percent"]
        if len(values):
            _line(ax, place, method, values)
    _full(ax, group.loc[group["method"] == FULL, "test_accuracy_percent"])
    ax.set_ylim(len(methods) - 0.5 + _WORDS, -0.6)
    ax.set_yticks(range(len(methods)), [titles.get(method, "") for method in methods] if named else [])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="both")
    ax.set_axisbelow(True)


def _line(ax: Axes, place: int, method: str, values: pd.Series[float]) -> None:
    style = method_style(method)
    # Above the marker, which would hide them.
    ax.scatter(values, np.full(len(values), place - 0.22), s=5, color=style.colour, alpha=0.35, linewidths=0, zorder=2)
    ax.errorbar(
        [values.mean()],
        [place],
        xerr=[values.std() if len(values) > 1 else 0.0],
        fmt=style.marker,
        color=style.colour,
        mfc=style.face,
        markersize=4.2,
        capsize=2.4,
        elinewidth=1.1,
        capthick=1.1,
        zorder=3,
    )


def _full(ax: Axes, values: pd.Series[float]) -> None:
    """The full data set as a dashed line where that leaves the methods apart, and its accuracy in words."""
    if values.empty:
        return
    mean, (low, high) = float(values.mean()), ax.get_xlim()
    drawn = mean <= high + _STRETCH * (high - low)
    if drawn:
        style = method_style(FULL)
        ax.axvline(mean, color=style.colour, linestyle=style.dash, linewidth=1.1, zorder=1)
        ax.set_xlim(min(low, mean - 0.05 * (high - low)), max(high, mean + 0.05 * (high - low)))
    words = full_text(values) if drawn else f"Full data set, off scale:\n{full_text(values)}"
    ax.annotate(
        words, (0.98, 0.01), xycoords="axes fraction", ha="right", va="bottom", fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
    )  # fmt: skip
