"""The full data set in figures: a dashed line with its accuracy beside it, and its legend entry."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.figures.style import method_style


def draw_full(ax: Axes, values: pd.Series[float]) -> None:
    """The full data set's mean as a dashed line, its value below the line at the left, where accuracies are lowest."""
    mean = float(values.mean())
    ax.axhline(mean, color=method_style(FULL).colour, linestyle=method_style(FULL).dash, linewidth=1.1, zorder=1)
    ax.annotate(
        full_text(values),
        (0.0, mean),
        xycoords=("axes fraction", "data"),
        xytext=(4, -3),
        textcoords="offset points",
        fontsize=7.5,
        va="top",
        # A curve may pass here.
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
    )


def full_text(values: pd.Series[float]) -> str:
    """Mean, sample standard deviation and number of networks: ``97.3 ± 0.2 (n = 5)``."""
    spread = f" ± {values.std():.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{spread} (n = {len(values)})"


def full_handle(table: pd.DataFrame) -> Line2D:
    """Legend entry of the full data set."""
    title = str(table.loc[table["method"] == FULL, "method_title"].iloc[0])
    return Line2D(
        [], [], color=method_style(FULL).colour, linestyle=method_style(FULL).dash, linewidth=1.1, label=title
    )
