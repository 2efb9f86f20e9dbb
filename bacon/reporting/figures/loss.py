"""The terms of the distillation loss over the iterations, one small panel each."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bacon.reporting.figures.canvas import FigurePage, finish, method_handles, panels
from bacon.reporting.figures.style import MANY, method_style

TITLE = "Loss terms during distillation"
TOTAL = "loss"
QUEUE = "queue_accuracy"
# A logarithmic axis from this ratio of largest to smallest value on.
_LOG_RATIO = 20.0
# Up to so many (data set, IPC) pairs stand side by side with the terms below each other; more go down the page instead.
_MOST_COLUMNS = 3
# A longer name of a panel takes several lines: it would reach into the next panel.
_LETTERS = 22


def loss_figure(history: pd.DataFrame, *, term_titles: Mapping[str, str] | None = None) -> FigurePage:
    """One panel per term and (data set, IPC). An empty history gives a figure that says so.

    Args:
        history: rows of :func:`bacon.reporting.collect.distilled_files.collect_history`; may be empty (selected images
            only).
        term_titles: term -> its name, in the order of the panels; other terms come last under their own names.
    """
    if history.empty:
        figure, axes = panels(1, 1, width=5.0, height=1.0)
        axes[0][0].set_axis_off()
        finish(figure, title=TITLE, caption="No method of this grid has a loss; all of them select real images.")
        return figure
    history = history[history["term"] != QUEUE]
    history = _scale_totals(history.astype({"value": float, "iteration": float}))
    found = list(history["term"].drop_duplicates())
    named = {TOTAL: "Total loss, scaled", **(term_titles or {})}
    terms = [term for term in named if term in found] + sorted(set(found) - set(named))
    cells = [cell for _, cell in history.groupby(["dataset", "ipc"], sort=False)]
    names = [f"{cell['dataset_title'].iloc[0]}, IPC {cell['ipc'].iloc[0]}" for cell in cells]
    labels = [named.get(str(term), str(term)) for term in terms]
    side_by_side = len(cells) <= _MOST_COLUMNS
    rows, columns = (labels, names) if side_by_side else (names, labels)
    figure, axes = panels(len(rows), len(columns), width=3.1 if side_by_side else 2.2, height=1.45)
    for i, cell in enumerate(cells):
        for j, term in enumerate(terms):
            logarithmic = _is_wide(history.loc[history["term"] == term, "value"].to_numpy(np.float64))
            _panel(axes[j][i] if side_by_side else axes[i][j], cell[cell["term"] == term], logarithmic=logarithmic)
    for row, name in zip(axes, rows, strict=True):
        row[0].set_ylabel(fill(name, _LETTERS))
    for ax, name in zip(axes[0], columns, strict=True):
        ax.set_title(name if side_by_side else fill(name, _LETTERS))
    for ax in axes[-1]:
        ax.set_xlabel("Distillation iterations")
    figure.align_ylabels([row[0] for row in axes])
    finish(figure, title=TITLE, caption=_caption(history), legend=method_handles(history, line=True, marker=False))
    return figure


def _scale_totals(history: pd.DataFrame) -> pd.DataFrame:
    """Total losses brought to 0..1: a likelihood holds a constant of thousands, beside which no other curve would show."""
    is_total = history["term"] == TOTAL
    keys = ["dataset", "ipc", "method"]
    means = history[is_total].groupby([*keys, "iteration"], as_index=False)["value"].mean()
    limits = means.groupby(keys)["value"].agg(["min", "max"])
    joined = history[is_total].join(limits, on=keys)
    span = (joined["max"] - joined["min"]).where(joined["max"] > joined["min"], 1.0)
    scaled = history.copy()
    scaled.loc[is_total, "value"] = (joined["value"] - joined["min"]) / span
    return scaled


def _is_wide(values: npt.NDArray[np.float64]) -> bool:
    """Whether values call for a logarithmic axis: all positive, over more than a decade."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() / finite.min() >= _LOG_RATIO)


def _panel(ax: Axes, values: pd.DataFrame, *, logarithmic: bool) -> None:
    crowded = values["method"].nunique() > MANY
    for method, of_method in values.groupby("method", sort=False):
        sns.lineplot(
            data=of_method,
            x="iteration",
            y="value",
            errorbar=None if crowded else "sd",
            color=method_style(str(method)).colour,
            linestyle=method_style(str(method)).dash,
            linewidth=1.2,
            err_kws={"alpha": 0.18, "linewidth": 0},
            legend=False,
            ax=ax,
        )
    ax.set(xlabel="", ylabel="")
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=True))
    finite = values["value"].to_numpy(np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        _say(ax, "not recorded")
        ax.set_yticks([])
    elif not finite.any():
        _say(ax, "identically 0")
        ax.set(ylim=(-1, 1), yticks=[0])
    elif logarithmic:
        _logarithmic(ax, finite)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(4))


def _logarithmic(ax: Axes, values: npt.NDArray[np.float64]) -> None:
    ax.set_yscale("log")
    low, high = float(values.min()), float(values.max())
    ax.set_ylim(low / 1.15, high * 1.15)  # a band that reaches towards 0 has no lower end here
    # Over a few decades the powers of ten suffice; over fewer, values between them are labelled too.
    subs = (1.0,) if high / low > 1000 else (1.0, 3.0) if high / low > 30 else (1.0, 2.0, 5.0)
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.annotate("log", (0.99, 0.98), xycoords="axes fraction", ha="right", va="top", fontsize=7, color="#555555")


def _say(ax: Axes, text: str) -> None:
    ax.annotate(text, (0.5, 0.75), xycoords="axes fraction", ha="center", va="center", fontsize=7.5, color="#555555")


def _caption(history: pd.DataFrame) -> str:
    seeds = history.groupby(["dataset", "method", "ipc"])["seed"].nunique()
    n = str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    windows = history["window"].astype(int)
    averaged = f" of windows of up to {windows.max()} iterations" if windows.max() > 1 else ""
    total = (
        " Total loss: each method's mean curve scaled to run from 0 to 1." if (history["term"] == TOTAL).any() else ""
    )
    crowded = history["method"].nunique() > MANY
    spread = "line: mean" if crowded else "line and band: mean ± sd (sample standard deviation)"
    return (
        f"Unweighted terms, mean over classes{averaged}; {spread} over n = {n} distillation seeds.{total} Methods match "
        "different quantities: compare shapes, not levels."
    )
