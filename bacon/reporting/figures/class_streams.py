"""Continual learning: accuracy against the number of classes seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bacon.reporting.collect.task_results import task_summary
from bacon.reporting.figures.canvas import FigurePage, finish, interval_arms, method_handles, panels
from bacon.reporting.figures.style import MANY, method_style

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

_TASK = "continual"


def class_streams_figure(plan: Plan) -> FigurePage:
    """The figure of a plan with the task; errors as :func:`bacon.reporting.collect.task_results.collect_task`."""
    summary = task_summary(plan, _TASK)
    return stream_lines(summary[summary["metric"] == "accuracy"], title=plan.tasks.task(_TASK).figure)


def stream_lines(table: pd.DataFrame, *, title: str) -> FigurePage:
    """Rows: data set (and evaluation network); columns: IPC.

    Args:
        table: rows of :func:`bacon.reporting.collect.task_results.summarise_task`, of accuracy at numbers of classes.
        title: of the figure.
    """
    rows, ipcs = list(table.groupby(["dataset", "network"], sort=False)), sorted(table["ipc"].unique())
    figure, axes = panels(len(rows), len(ipcs), width=3.3 if len(ipcs) > 1 else 5.0, height=2.6)
    several = table["network"].nunique() > 1
    for line, ((_, network), group) in zip(axes, rows, strict=True):
        name = f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}"
        for ax, ipc in zip(line, ipcs, strict=True):
            cell = group[group["ipc"] == ipc]
            ax.set_visible(not cell.empty)
            _panel(ax, cell)
            ax.set_title(f"{name}, IPC {ipc}")
        next(ax for ax in line if ax.get_visible()).set_ylabel("Accuracy on the classes seen (%)")
    finish(figure, title=title, caption=_caption(table), legend=method_handles(table, line=True))
    return figure


def _panel(ax: Axes, cell: pd.DataFrame) -> None:
    crowded = cell["method"].nunique() > MANY
    for method, course in cell.sort_values("at").groupby("method", sort=False):
        style = method_style(str(method))
        x = course["at"].to_numpy(np.float64)
        mean, sd = (100 * course[name].to_numpy(np.float64) for name in ("mean", "sd"))
        ax.plot(x, mean, color=style.colour, linestyle=style.dash, marker=style.marker, mfc=style.face)
        if not crowded:
            ax.fill_between(x, mean - sd, mean + sd, color=style.colour, alpha=0.15, linewidth=0)
            known, arms = course["ci_low"].notna().to_numpy(), 100 * interval_arms(course, "mean")
            if known.any():
                ax.errorbar(x[known], mean[known], yerr=arms[:, known], fmt="none", ecolor=style.colour, capsize=2.5)
    ax.set_xlabel("Classes seen")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.grid(axis="y")


def _caption(table: pd.DataFrame) -> str:
    low, high = table["n"].min(), table["n"].max()
    count = str(low) if low == high else f"{low} to {high}"
    shown = "Line: mean over"
    if table["method"].nunique() <= MANY:
        bars = " Bars: 95 % interval over distillation seeds." if bool((table["distillation_seeds"] > 1).any()) else ""
        shown = f"Band: ± sd over the repetitions, which are orders of the classes.{bars} Line: mean over"
    return (
        "Test accuracy on the classes seen so far, among which networks predict (fewer classes are easier); at each point "
        f"networks are trained from scratch on the images of these classes. {shown} n = {count} repetitions."
    )
