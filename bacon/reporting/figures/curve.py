"""Accuracy against distillation iterations (the BACON paper's Figure 3), from the evaluated snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bacon.reporting.figures.accuracy import draw_full, full_handle, full_text
from bacon.reporting.figures.canvas import Sheet, finish, method_handles, panels, save
from bacon.reporting.figures.style import figure_style, method_style
from bacon.reporting.protocol import FULL, protocol_note

TITLE = "Accuracy against distillation iterations"
# The full data set's line is drawn where it needs at most this share more height than the curves; else it is stated.
_STRETCH = 0.35


def plot_curve(table: pd.DataFrame, *, fingerprint: str, outputs: Sequence[Path]) -> None:
    """Write the figure of test accuracy against iterations; arguments as for ``plot_accuracy``."""
    with figure_style():
        save(curve_figure(table), fingerprint=fingerprint, outputs=outputs)


def curve_figure(table: pd.DataFrame) -> Sheet:
    """Rows: data set (and evaluation network); columns: IPC. Methods without iterations are horizontal lines."""
    rows = list(table.groupby(["dataset", "network"], sort=False))
    ipcs = sorted(int(ipc) for ipc in table["ipc"].dropna().unique())
    several_networks = table["network"].nunique() > 1
    figure, axes = panels(len(rows), len(ipcs), width=3.3 if len(ipcs) > 1 else 5.0, height=2.4)
    for line, ((_, network), group) in zip(axes, rows, strict=True):
        title = str(group["dataset_title"].iloc[0]) + (f", {network}" if several_networks else "")
        for ax, ipc in zip(line, ipcs, strict=True):
            cell = group[group["ipc"] == ipc]
            if cell.empty:
                ax.set_visible(False)
                continue
            _panel(ax, cell, group.loc[group["method"] == FULL, "test_accuracy_percent"])
            ax.set_title(f"{title}, IPC {ipc}")
        next(ax for ax in line if ax.get_visible()).set_ylabel("Test accuracy (%)")
    handles = method_handles(table, line=True, level=_level_methods(table))
    if FULL in set(table["method"]):
        handles.append(full_handle(table))
    finish(figure, title=TITLE, caption=_caption(table), legend=handles)
    return figure


def _panel(ax: Axes, cell: pd.DataFrame, full: pd.Series[float]) -> None:
    for method, of_method in cell.groupby("method", sort=False):
        style = method_style(str(method))
        if method in _level_methods(cell):
            _level(ax, of_method["test_accuracy_percent"], style.colour)
            continue
        sns.lineplot(
            data=of_method,
            x="iteration",
            y="test_accuracy_percent",
            errorbar="sd",
            color=style.colour,
            marker=style.marker,
            markeredgewidth=0.5,
            err_kws={"alpha": 0.18, "linewidth": 0},
            legend=False,
            ax=ax,
        )
    ax.set(xlabel="Distillation iterations", ylabel="")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="y")
    if len(full):
        _full(ax, full)


def _level_methods(table: pd.DataFrame) -> list[str]:
    """Methods that do not iterate."""
    last = table.groupby("method", sort=False)["iteration"].max()
    return [str(method) for method in last.index[last == 0]]


def _level(ax: Axes, values: pd.Series[float], colour: str) -> None:
    """A method without iterations: its mean as a line, mean ± sd as a band."""
    mean, sd = values.mean(), values.std() if len(values) > 1 else 0.0
    ax.axhline(mean, color=colour, zorder=1.5)
    ax.axhspan(mean - sd, mean + sd, color=colour, alpha=0.12, linewidth=0, zorder=1)


def _full(ax: Axes, values: pd.Series[float]) -> None:
    """The full data set as a dashed line where that leaves the curves readable, else in words."""
    low, high = ax.get_ylim()
    mean = float(values.mean())
    if mean <= high + _STRETCH * (high - low):
        draw_full(ax, values)
        ax.set_ylim(min(low, mean - 0.05 * (high - low)), max(high, mean + 0.05 * (high - low)))
        return
    # Room for the words above the curves.
    ax.set_ylim(low, high + 0.12 * (high - low))
    ax.annotate(
        f"Full data set, off scale: {full_text(values)}",
        (0.98, 0.97),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=7.5,
    )


def _caption(table: pd.DataFrame) -> str:
    distilled = table[~table["method"].isin([FULL, *_level_methods(table)])]
    counts = [_range(distilled.loc[distilled["final"] == final, "n"]) for final in (False, True)]
    snapshots = f"n = {counts[0]} networks per snapshot, " if counts[0] else ""
    return (
        f"Line and band: mean ± sd (sample standard deviation) over n networks; {snapshots}n = {counts[1] or 'none'} at the "
        f"end. Methods that select real images do not iterate: level lines. {protocol_note(table)}."
    )


def _range(counts: pd.Series[int]) -> str:
    if counts.empty:
        return ""
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"
