"""Accuracy against distillation iterations or seconds, and the BACON paper's Figure 3, from the evaluated snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bacon.reporting.collect.protocol_text import FULL, protocol_note
from bacon.reporting.collect.source_rules import source_rules
from bacon.reporting.collect.summary import PUBLISHED_NETWORK
from bacon.reporting.figures.canvas import FigurePage, finish, method_handles, panels
from bacon.reporting.figures.full_data import draw_full, full_handle, full_text
from bacon.reporting.figures.style import MANY, MethodStyle, method_style

TITLE = "Accuracy against distillation iterations"
# The full data set's line is drawn where it needs at most this share more height than the curves; else it is stated.
_STRETCH = 0.35


@dataclass(frozen=True, kw_only=True)
class Abscissa:
    """What accuracy is drawn against: a column of the table, its label, the figure's title and what its caption adds."""

    column: str
    label: str
    title: str
    remark: str = ""


ITERATIONS = Abscissa(column="iteration", label="Distillation iterations", title=TITLE)
SECONDS = Abscissa(
    column="seconds",
    label="Distillation time (s)",
    title="Accuracy against distillation time",
    remark=" Time of a snapshot: its share of the iterations times the method's mean wall time, without evaluation.",
)


def with_seconds(table: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """The table with ``seconds``: wall time until each snapshot, from the mean seconds per iteration of a method's seeds.

    Args:
        table: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        cost: rows of :func:`bacon.reporting.collect.distilled_files.collect_cost`.
    """
    keys = ["dataset", "method", "ipc"]
    sums = cost.groupby(keys)[["wall_seconds", "iterations"]].sum()
    rate = (sums["wall_seconds"] / sums["iterations"].where(sums["iterations"] > 0)).rename("rate").reset_index()
    merged = table.merge(rate.astype({"ipc": "Int64"}), on=keys, how="left")
    return merged.assign(seconds=merged["iteration"] * merged["rate"].fillna(0.0)).drop(columns="rate")


def curve_figure(
    table: pd.DataFrame,
    *,
    abscissa: Abscissa = ITERATIONS,
    published: Mapping[tuple[str, str, int], float] | None = None,
) -> FigurePage:
    """Rows: data set (and evaluation network); columns: IPC. Methods without iterations are horizontal lines.

    Args:
        table: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`, with the abscissa's column.
        abscissa: what accuracy is drawn against.
        published: (data set, method, IPC) -> published accuracy in percent, drawn as stars at the end of the axis.
    """
    rows = list(table.groupby(["dataset", "network"], sort=False))
    ipcs = sorted(int(ipc) for ipc in table["ipc"].dropna().unique())
    several_networks = table["network"].nunique() > 1
    figure, axes = panels(
        len(rows), len(ipcs), width=3.3 if len(ipcs) > 1 else 5.0, height=3.6 if _crowded(table) else 2.4
    )
    for line, ((_, network), group) in zip(axes, rows, strict=True):
        title = str(group["dataset_title"].iloc[0]) + (f", {network}" if several_networks else "")
        for ax, ipc in zip(line, ipcs, strict=True):
            cell = group[group["ipc"] == ipc]
            if cell.empty:
                ax.set_visible(False)
                continue
            _panel(ax, cell, abscissa)
            _stars(ax, cell, published or {}, abscissa.column)
            # Last, in the height that everything else needs.
            _full(ax, group.loc[group["method"] == FULL, "test_accuracy_percent"])
            ax.set_title(f"{title}, IPC {ipc}")
        next(ax for ax in line if ax.get_visible()).set_ylabel("Test accuracy (%)")
    handles = method_handles(table, line=True, level=_level_methods(table))
    if FULL in set(table["method"]):
        handles.append(full_handle(table))
    caption = _caption(table) + abscissa.remark
    if published:
        handles.append(Line2D([], [], color="#444444", marker="*", ls="", markersize=9, mfc="none", label="Published"))
        caption += f" {source_rules().figure3.remark}"
    finish(figure, title=abscissa.title, caption=caption, legend=handles)
    return figure


def _stars(ax: Axes, cell: pd.DataFrame, published: Mapping[tuple[str, str, int], float], column: str) -> None:
    """Published end points at the right edge of the curves, in the method's colour."""
    end, (low, high) = float(cell[column].max()), ax.get_ylim()
    for method, ipc, dataset in cell[["method", "ipc", "dataset"]].drop_duplicates().itertuples(index=False, name=None):
        found = published.get((dataset, method, int(ipc)))
        if found is not None:
            # The scale was made for our curves.
            low, high = min(low, found - 2.0), max(high, found + 2.0)
            colour = method_style(str(method)).colour
            ax.plot(
                [end],
                [found],
                marker="*",
                markersize=10,
                mfc="white",
                mec=colour,
                mew=1.4,
                ls="",
                zorder=5,
                clip_on=False,
            )
    ax.set_ylim(low, high)


def _crowded(table: pd.DataFrame) -> bool:
    """Whether bands would hide the curves."""
    return bool(table.loc[table["method"] != FULL, "method"].nunique() > MANY)


def _panel(ax: Axes, cell: pd.DataFrame, abscissa: Abscissa) -> None:
    crowded = _crowded(cell)
    for method, of_method in cell.groupby("method", sort=False):
        style = method_style(str(method))
        if method in _level_methods(cell):
            _level(ax, of_method["test_accuracy_percent"], style, band=not crowded)
            continue
        sns.lineplot(
            data=of_method,
            x=abscissa.column,
            y="test_accuracy_percent",
            errorbar=None if crowded else "sd",
            color=style.colour,
            linewidth=1.0 if crowded else 1.5,
            markersize=4 if crowded else 5,
            linestyle=style.dash,
            marker=style.marker,
            markerfacecolor=style.face,
            markeredgecolor="white" if style.filled else style.colour,
            markeredgewidth=0.5 if style.filled else 1.0,
            err_kws={"alpha": 0.18, "linewidth": 0},
            legend=False,
            ax=ax,
        )
    ax.set(xlabel=abscissa.label, ylabel="")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=abscissa.column == "iteration"))
    ax.grid(axis="y")


def _level_methods(table: pd.DataFrame) -> list[str]:
    """Methods that do not iterate."""
    last = table.groupby("method", sort=False)["iteration"].max()
    return [str(method) for method in last.index[last == 0]]


def _level(ax: Axes, values: pd.Series[float], style: MethodStyle, *, band: bool) -> None:
    """A method without iterations: its mean as a line, mean ± sd as a band."""
    mean, sd = values.mean(), values.std() if len(values) > 1 else 0.0
    ax.axhline(mean, color=style.colour, linestyle=style.dash, linewidth=1.5 if band else 1.0, zorder=1.5)
    if band:
        ax.axhspan(mean - sd, mean + sd, color=style.colour, alpha=0.12, linewidth=0, zorder=1)


def _full(ax: Axes, values: pd.Series[float]) -> None:
    """The full data set as a dashed line where that leaves the curves readable, else in words."""
    if values.empty:
        return
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
    shown = (
        "Line: mean over n networks; spreads are in the tables"
        if _crowded(table)
        else "Line and band: mean ± sd (sample standard deviation) over n networks"
    )
    return (
        f"{shown}; {snapshots}n = {counts[1] or 'none'} at the "
        f"end. Methods that only select real images are horizontal lines. {protocol_note(table)}."
    )


def _range(counts: pd.Series[int]) -> str:
    if counts.empty:
        return ""
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"


def figure3(table: pd.DataFrame, summary: pd.DataFrame) -> FigurePage:
    """The paper's Figure 3: our curves on CIFAR-10 and CIFAR-100, and the published end points as stars.

    Methods without a published number, such as variants, are in the other figures.

    Args:
        table: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`, with one of these data sets.
        summary: rows of :func:`bacon.reporting.collect.summary.summarise`, with the published numbers.
    """
    own = table[
        table["published_dataset"].isin(source_rules().figure3.datasets) & (table["network"] == PUBLISHED_NETWORK)
    ]
    found = summary[summary["published_percent"].notna() & summary["ipc"].notna()]
    published = {
        (str(dataset), str(method), int(ipc)): float(value)
        for dataset, method, ipc, value in found[["dataset", "method", "ipc", "published_percent"]].itertuples(
            index=False, name=None
        )
    }
    own = own[own["method"].isin([FULL, *(method for _, method, _ in published)])]
    abscissa = Abscissa(
        column="iteration", label=ITERATIONS.label, title="Accuracy against iterations: ours and published"
    )
    return curve_figure(own, abscissa=abscissa, published=published)
