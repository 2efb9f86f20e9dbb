"""Training accuracy of the networks in the queue while images are distilled with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from bacon.reporting.figures.canvas import Sheet, finish, grid_shape, method_handles, panels
from bacon.reporting.figures.loss import QUEUE
from bacon.reporting.figures.style import method_style

WINDOWS = 25
_DASHES: tuple[Any, ...] = ("-", (0, (4, 3)), (0, (1, 2)))
TITLE = "Accuracy of the networks in the queue"


def queue_figure(history: pd.DataFrame) -> Sheet:
    """One panel per data set and IPC.

    Args:
        history: rows of :func:`bacon.reporting.collect.distilled_files.collect_history`, with the term ``queue_accuracy``.
    """
    queue = history[history["term"] == QUEUE].astype({"value": float, "iteration": float})
    groups = list(queue.groupby(["dataset", "ipc"], sort=False))
    rows, columns = grid_shape(len(groups))
    figure, axes = panels(rows, columns, width=3.1 if columns > 1 else 5.0, height=2.2)
    flat = np.array(axes).ravel()
    for ax, (_, group) in zip(flat, groups, strict=False):
        for place, (method, of_method) in enumerate(group.groupby("method", sort=False)):
            sns.lineplot(
                data=of_method,
                x="iteration",
                y="value",
                errorbar="sd",
                color=method_style(str(method)).colour,
                # Curves that coincide stay visible through the gaps of those above them.
                linestyle=_DASHES[place % len(_DASHES)],
                err_kws={"alpha": 0.18, "linewidth": 0},
                legend=False,
                ax=ax,
            )
        ax.set(xlabel="Distillation iterations", ylabel="", ylim=(0, 102))
        ax.set_title(f"{group['dataset_title'].iloc[0]}, IPC {group['ipc'].iloc[0]}")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.grid(axis="y")
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    for row in axes:
        row[0].set_ylabel("Training accuracy (%)")
    seeds = queue.groupby(["dataset", "method", "ipc"])["seed"].nunique()
    n = str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    caption = (
        "Running accuracy, on the real batches it is trained on, of the network drawn from the queue at each "
        "iteration. It need not rise: old networks leave, new ones join, and a reset starts the running accuracy "
        "from 0. Queues with the same settings and seed train the same networks, whatever is matched, so their "
        f"curves coincide. Means over windows of up to {int(queue['window'].max())} iterations; line and band: "
        f"mean ± sd over n = {n} distillation seeds."
    )
    handles = method_handles(queue, line=True, marker=False)
    for place, handle in enumerate(handles):
        handle.set_linestyle(_DASHES[place % len(_DASHES)])
    finish(figure, title=TITLE, caption=caption, legend=handles)
    return figure
