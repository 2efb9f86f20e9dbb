"""Architecture search: each candidate's accuracy trained on the whole set against that trained on the distilled set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bacon.reporting.collect.task_results import read_task, task_place, task_summary
from bacon.reporting.figures.canvas import FigurePage, finish, method_handles, panels
from bacon.reporting.figures.style import MANY, method_style

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

_TASK = "architecture_search"


def candidates_figure(plan: Plan) -> FigurePage:
    """The figure of a plan with the task; errors as :func:`bacon.reporting.collect.task_results.collect_task`."""
    summary = task_summary(plan, _TASK)
    ranks = summary[summary["metric"] == "spearman"].set_index(["dataset", "method", "ipc"])["mean"]
    return candidate_scatter(_points(plan), ranks, title=plan.tasks.task(_TASK).figure)


def _points(plan: Plan) -> pd.DataFrame:
    """One row for each candidate and group: its mean accuracies in percent, over repetitions and distillation seeds."""
    rows: list[dict[str, Any]] = []
    for cell, network in plan.tasks.places(_TASK):
        place = task_place(plan, cell, network)
        for record in read_task(plan, _TASK, cell, network)["records"]:
            proxy, reference = (record.details[name] for name in ("proxy", "reference"))
            rows += [
                place | {"candidate": name, "proxy": 100 * value, "reference": 100 * reference[name]}
                for name, value in proxy.items()
            ]
    keys = ["dataset", "dataset_title", "method", "method_title", "ipc", "candidate"]
    return pd.DataFrame(rows).groupby(keys, sort=False, as_index=False)[["proxy", "reference"]].mean()


def candidate_scatter(table: pd.DataFrame, ranks: pd.Series[float], *, title: str) -> FigurePage:
    """Rows: data set; columns: IPC.

    Args:
        table: columns dataset, dataset_title, method, method_title, ipc, candidate, proxy and reference (percent).
        ranks: (dataset, method, ipc) -> mean Spearman correlation; groups without one are left out.
        title: of the figure.
    """
    rows, ipcs = list(table.groupby("dataset", sort=False)), sorted(table["ipc"].unique())
    figure, axes = panels(len(rows), len(ipcs), width=3.3 if len(ipcs) > 1 else 5.0, height=2.9)
    for line, (dataset, group) in zip(axes, rows, strict=True):
        for ax, ipc in zip(line, ipcs, strict=True):
            cell = group[group["ipc"] == ipc]
            ax.set_visible(not cell.empty)
            _panel(ax, cell, {method: ranks.get((dataset, method, ipc)) for method in cell["method"].unique()})
            ax.set_title(f"{group['dataset_title'].iloc[0]}, IPC {ipc}")
        next(ax for ax in line if ax.get_visible()).set_ylabel("Trained on the whole set (%)")
    caption = (
        "A point is an architecture: accuracy of networks trained on the cell's images (mean over searches and distillation "
        "seeds) and on the whole real set, on the images that rank. Lower right: Spearman's rank correlation, mean over "
        "searches; the table has its interval. Ringed: the candidate that is first on the cell's images."
    )
    finish(figure, title=title, caption=caption, legend=method_handles(table, line=False))
    return figure


def _panel(ax: Axes, cell: pd.DataFrame, ranks: dict[str, float | None]) -> None:
    for number, (method, group) in enumerate(cell.groupby("method", sort=False)):
        style, rank = method_style(str(method)), ranks[str(method)]
        x, y = group["proxy"].to_numpy(np.float64), group["reference"].to_numpy(np.float64)
        ax.scatter(x, y, s=14, marker=style.marker, color=style.colour, alpha=0.75, linewidths=0)
        first = int(np.argmax(x))
        ax.scatter(x[first : first + 1], y[first : first + 1], s=70, facecolors="none", edgecolors=style.colour)
        if rank is not None and len(ranks) <= MANY:
            ax.annotate(
                f"{rank:+.2f}",
                (0.98, 0.03 + 0.075 * number),
                xycoords="axes fraction",
                ha="right",
                fontsize=7.5,
                color=style.colour,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6},
            )
    ax.set_xlabel("Trained on the cell's images (%)")
    ax.grid(visible=True)
    ax.margins(0.08)
