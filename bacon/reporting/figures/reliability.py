"""Reliability diagrams: accuracy against confidence of the networks trained on each set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.task_results import read_task, task_place
from bacon.reporting.figures.canvas import FigurePage, finish, grid_shape, method_handles, panels
from bacon.reporting.figures.full_data import full_handle
from bacon.reporting.figures.style import method_style

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

_TASK = "calibration"
_DIAGRAMS = {"reliability": "as trained", "reliability_scaled": "scaled"}


def reliability_figure(plan: Plan) -> FigurePage:
    """One panel for each data set, network, IPC and temperature: accuracy of each bin against its mean confidence."""
    table = _diagrams(plan)
    groups = list(table.groupby(["dataset", "network", "ipc", "diagram"], sort=False))
    rows, columns = grid_shape(len(groups), widest=2 if table["diagram"].nunique() == 2 else 3)
    figure, axes = panels(rows, columns, width=3.0, height=2.8)
    flat = [one for row in axes for one in row]
    several = table["network"].nunique() > 1
    for ax, ((_, network, ipc, diagram), group) in zip(flat, groups, strict=False):
        _panel(ax, group)
        name = f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}, IPC {ipc}"
        ax.set(title=f"{name}, {_DIAGRAMS[str(diagram)]}", xlabel="Confidence", ylabel="Accuracy")
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    caption = (
        "Test accuracy against the mean of the largest softmax probability, in bins of equal "
        "width; images of all networks and distillation seeds together; the area of a marker grows with its share of them. "
        "Below the diagonal networks are overconfident. Scaled: logits over the temperature chosen on the validation split."
    )
    handles = method_handles(table, line=True)
    if FULL in set(table["method"]):
        handles.append(full_handle(table))
    finish(figure, title=plan.tasks.task(_TASK).figure, caption=caption, legend=handles)
    return figure


def _diagrams(plan: Plan) -> pd.DataFrame:
    """One row for each bin with images of each group: its images, correct ones and summed confidence.

    The full data set stands beside every IPC.
    """
    rows: list[dict[str, Any]] = []
    ipcs = sorted({cell.ipc for cell in plan.tasks.cells(_TASK) if cell.ipc is not None}) or [0]
    for cell, network in plan.tasks.places(_TASK):
        place, beside = task_place(plan, cell, network), ipcs if cell.ipc is None else [cell.ipc]
        for record in read_task(plan, _TASK, cell, network)["records"]:
            shown = {name: record.details[name] for name in _DIAGRAMS if name in record.details}
            bins = [{"diagram": name} | one for name, diagram in shown.items() for one in _bins(diagram)]
            rows += [place | {"ipc": ipc} | one for ipc in beside for one in bins]
    keys = ["dataset", "dataset_title", "method", "method_title", "network", "ipc", "diagram", "bin"]
    return pd.DataFrame(rows).groupby(keys, sort=False, as_index=False)[["images", "correct", "confidence"]].sum()


def _bins(diagram: dict[str, list[float]]) -> list[dict[str, Any]]:
    counts, accuracy, confidence = (diagram[name] for name in ("counts", "accuracy", "confidence"))
    return [
        {"bin": place, "images": count, "correct": count * right, "confidence": count * sure}
        for place, (count, right, sure) in enumerate(zip(counts, accuracy, confidence, strict=True))
        if count
    ]


def _panel(ax: Axes, group: pd.DataFrame) -> None:
    ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, zorder=0)
    for method, bins in group.groupby("method", sort=False):
        ordered, style = bins.sort_values("bin"), method_style(str(method))
        images = ordered["images"].to_numpy(np.float64)
        x: npt.NDArray[np.float64] = ordered["confidence"].to_numpy(np.float64) / images
        y = ordered["correct"].to_numpy(np.float64) / images
        marker = "o" if method == FULL else style.marker
        ax.plot(x, y, color=style.colour, linestyle=style.dash, linewidth=1.0, zorder=2)
        ax.scatter(x, y, s=6 + 90 * images / images.sum(), color=style.colour, marker=marker, alpha=0.8, zorder=3)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.grid(visible=True)
