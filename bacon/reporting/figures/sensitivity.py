"""Accuracy against one setting of a method, from variants that differ only in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bacon.reporting.collect.protocol_text import protocol_note
from bacon.reporting.collect.sensitivity_study import Point
from bacon.reporting.collect.summary import PUBLISHED_NETWORK
from bacon.reporting.figures.canvas import NO_BARS, FigurePage, finish, grid_shape, interval_arms, panels
from bacon.reporting.figures.style import method_style

TITLE = "Sensitivity to single settings"


def sensitivity_figure(points: Sequence[Point], summary: pd.DataFrame, accuracy: pd.DataFrame) -> FigurePage:
    """One panel per setting, data set and IPC; one curve per method.

    Args:
        points: at least two per method and setting.
        summary: rows of :func:`bacon.reporting.collect.summary.summarise`.
        accuracy: rows that it was made from, for the protocol.
    """
    network = PUBLISHED_NETWORK if PUBLISHED_NETWORK in set(summary["network"]) else summary["network"].iloc[0]
    own = summary[summary["network"] == network]
    titles = own[["dataset", "dataset_title", "method", "ipc", "mean_percent", "ci_low", "ci_high", "n"]]
    table = pd.DataFrame([asdict(point) for point in points]).astype({"ipc": "Int64"})
    table = table.merge(titles, on=["dataset", "ipc", "method"]).sort_values(["base", "value"], kind="stable")
    groups = list(table.groupby(["key", "dataset", "ipc"], sort=False))
    rows, columns = grid_shape(len(groups))
    figure, axes = panels(rows, columns, width=3.2 if columns > 1 else 4.6, height=2.4)
    flat = np.array(axes).ravel()
    for ax, ((key, _, ipc), group) in zip(flat, groups, strict=False):
        bases = list(group.groupby("base", sort=False))
        # Methods stand side by side, or one would hide the other.
        step = 0.02 * (group["value"].max() - group["value"].min())
        for place, (base, of_base) in enumerate(bases):
            _curve(ax, str(base), of_base, shift=step * (place - (len(bases) - 1) / 2))
        ax.set(xlabel=str(key), title=f"{group['dataset_title'].iloc[0]}, IPC {ipc}")
        ax.grid(axis="y")
        ax.margins(x=0.08, y=0.1)
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    for row in axes:
        row[0].set_ylabel("Test accuracy (%)")
    counts = table["n"]
    n = str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    used = accuracy[accuracy["final"] & (accuracy["network"] == network) & accuracy["method"].isin(table["method"])]
    shown = (
        f"Mean and 95 % confidence interval over n = {n} networks (Student's t over the means of the distillation seeds)."
        if table["ci_low"].notna().any()
        else f"Mean over n = {n} networks; {NO_BARS}."
    )
    caption = (
        f"{shown} Filled: the method itself; open: variants that differ only in this setting. Methods at the same "
        f"value are shifted slightly. {protocol_note(used)}."
    )
    named = table[["base", "base_title"]].drop_duplicates().itertuples(index=False, name=None)
    handles = [
        Line2D([], [], color=method_style(base).colour, marker=method_style(base).marker, label=title)
        for base, title in named
    ]
    finish(figure, title=TITLE, caption=caption, legend=handles)
    return figure


def _curve(ax: Axes, base: str, table: pd.DataFrame, *, shift: float) -> None:
    style = method_style(base)
    values, means = table["value"].to_numpy(np.float64) + shift, table["mean_percent"].to_numpy(np.float64)
    arms = interval_arms(table)
    ax.errorbar(
        values, means, yerr=arms, color=style.colour, ls=style.dash, capsize=3, elinewidth=1.0, linewidth=1.2, zorder=2
    )
    itself = (table["method"] == base).to_numpy()
    for chosen, face in ((itself, style.colour), (~itself, "white")):
        ax.plot(
            values[chosen], means[chosen], ls="", marker=style.marker, mfc=face, mec=style.colour, mew=1.2, zorder=3
        )
