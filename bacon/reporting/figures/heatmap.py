"""Heat maps: accuracy by evaluation network, accuracy by class, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from bacon.reporting.collect.classes import ClassResults
from bacon.reporting.collect.protocol_text import FULL, protocol_note
from bacon.reporting.figures.canvas import FigurePage, finish, grid_shape, panels
from bacon.reporting.figures.class_labels import ClassLabels, class_labels
from bacon.reporting.figures.images import MAX_CLASSES, shown_classes

CROSS_TITLE = "Accuracy by evaluation network"
CLASSES_TITLE = "Accuracy by class"
CONFUSION_TITLE = "Confusion of classes"
# Light to dark, even in lightness, the same to every kind of colour vision.
MAP = "cividis"
RANGE = "Colours range from the lowest to the highest value of a panel, without the full data set."
_ABREAST = 5  # confusions beside each other: as many as a screen shows readably
_TURNED_LETTERS, _UPRIGHT_LETTERS = 20, 14  # of a class name under a column, turned by 45 or 90 degrees
_MIDDLE = 0.179  # the luminance with which black and white have the same contrast


def cross_architecture_figure(table: pd.DataFrame, accuracy: pd.DataFrame) -> FigurePage:
    """One panel per data set and IPC: distilled with (down) and evaluated with (across), mean test accuracy in percent.

    Args:
        table: rows of :func:`bacon.reporting.tables.cross_tables.cross_architecture`.
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`, for the protocol.
    """
    groups = list(table[table["ipc"].notna()].groupby(["dataset", "ipc"], sort=False))
    networks, methods = table["network"].nunique(), table["method"].nunique()
    rows, columns = grid_shape(len(groups), widest=2)
    figure, axes = panels(rows, columns, width=1.5 + 0.62 * networks, height=1.1 + 0.3 * methods)
    flat = np.array(axes).ravel()
    for ax, ((dataset, ipc), group) in zip(flat, groups, strict=False):
        full = table[(table["dataset"] == dataset) & (table["method"] == FULL)]
        together = pd.concat([full, group])
        values = together.pivot_table(
            index="method_title", columns="network", values="mean_percent", sort=False, observed=True
        )
        _map(ax, values.to_numpy(np.float64), list(values.columns), list(values.index), level=9, first=len(full) > 0)
        ax.set(title=f"{group['dataset_title'].iloc[0]}, IPC {ipc}", xlabel="Evaluated with", ylabel="Distilled by")
    for unused in flat[len(groups) :]:
        unused.set_visible(False)
    n = table["n"]
    count = str(n.min()) if n.min() == n.max() else f"{n.min()} to {n.max()}"
    caption = (
        f"Mean test accuracy in percent over n = {count} networks. Images are distilled with the network of each cell "
        f"(convnet). {RANGE} {protocol_note(accuracy[accuracy['final']])}."
    )
    finish(figure, title=CROSS_TITLE, caption=caption)
    return figure


def classes_figure(results: Sequence[ClassResults], accuracy: pd.DataFrame) -> FigurePage:
    """One panel per data set and IPC: methods down, classes across, accuracy of each class in percent."""
    groups = _by_panel(results)
    widest = max(len(shown_classes(len(one.class_names))) for one in results)
    most = max(len(group) for group in groups.values())
    labels = {title: _labels(group[0], _TURNED_LETTERS) for title, group in groups.items()}
    letters = max(one.longest for one in labels.values())
    figure, axes = panels(
        len(groups), 1, width=1.6 + 0.42 * widest, height=1.0 + 0.27 * most + (0.05 * letters if letters > 6 else 0.0)
    )
    for line, (title, group) in zip(axes, groups.items(), strict=True):
        values = np.array([one.class_accuracy[shown_classes(len(one.class_names))] for one in group])
        _map(
            line[0],
            values,
            labels[title].texts,
            [one.method_title for one in group],
            level=6,
            first=group[0].ipc is None,
        )
        line[0].set(title=title, xlabel="Class", ylabel="")
    caption = _class_caption(results, accuracy, "Test accuracy of each class in percent")
    finish(figure, title=CLASSES_TITLE, caption=caption, classes=list(labels.values()))
    return figure


def _labels(one: ClassResults, most: int) -> ClassLabels:
    shown = shown_classes(len(one.class_names))
    return class_labels([one.class_names[label] for label in shown], shown, most=most)


def confusion_figure(results: Sequence[ClassResults], accuracy: pd.DataFrame) -> FigurePage:
    """One panel per method, at the largest IPC of a data set: true class down, predicted class across."""
    rows = []
    for dataset in dict.fromkeys(one.dataset for one in results):
        own = [one for one in results if one.dataset == dataset]
        largest = max(one.ipc for one in own if one.ipc is not None)
        shown = [one for one in own if one.ipc in (None, largest)]
        rows += [shown[start : start + _ABREAST] for start in range(0, len(shown), _ABREAST)]
    columns = max(map(len, rows))
    size = 2.5 if max(len(one.class_names) for one in results) > 10 else 2.1
    # Upright names and two lines of title stand over and under a square.
    labels = {one.dataset: _labels(one, _UPRIGHT_LETTERS) for one in results if len(one.class_names) <= MAX_CLASSES}
    letters = max((one.longest for one in labels.values()), default=0)
    figure, axes = panels(len(rows), columns, width=size, height=size + 0.4 + 0.07 * letters)
    for line, row in zip(axes, rows, strict=True):
        for ax, one in zip(line, row, strict=False):
            names = labels[one.dataset].texts if one.dataset in labels else ()
            # Rows are the same in every panel beside the first, which names them.
            _confusion(ax, one.confusion_percent, names, named_rows=ax is line[0])
            ipc = "" if one.ipc is None else f", IPC {one.ipc}"
            ax.set_title(f"{one.dataset_title}{ipc}\n{one.method_title}")
            ax.set(xlabel="Predicted", ylabel="True" if ax is line[0] else "", aspect="equal")
        for unused in line[len(row) :]:
            unused.set_visible(False)
    text = (
        "Share of the test images of a true class (row) predicted as each class (column), in percent; shades by the "
        "square root"
    )
    caption = _class_caption(results, accuracy, text, all_classes=True)
    finish(figure, title=CONFUSION_TITLE, caption=caption, classes=list(labels.values()))
    return figure


def _by_panel(results: Sequence[ClassResults]) -> Mapping[str, list[ClassResults]]:
    """Panel title -> results, the full data set in every panel of its data set."""
    groups: dict[str, list[ClassResults]] = {}
    for one in results:
        if one.ipc is not None:
            full = [other for other in results if other.dataset == one.dataset and other.ipc is None]
            groups.setdefault(f"{one.dataset_title}, IPC {one.ipc}", list(full)).append(one)
    return groups


def _class_caption(
    results: Sequence[ClassResults], accuracy: pd.DataFrame, what: str, *, all_classes: bool = False
) -> str:
    counts = {one.networks for one in results}
    n = str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    many = max(len(one.class_names) for one in results)
    thinned = f" {MAX_CLASSES} of {many} classes, evenly spaced." if many > MAX_CLASSES and not all_classes else ""
    own = accuracy[accuracy["final"] & (accuracy["network"] == results[0].network)]
    colours = "" if all_classes else f" {RANGE}"
    return (
        f"{what}, mean over n = {n} networks on the final images, last epoch.{thinned}{colours} {protocol_note(own)}."
    )


def _confusion(ax: Axes, percent: npt.NDArray[np.float64], names: Sequence[str], *, named_rows: bool) -> None:
    """White where nothing is confused; the square root brings out what is confused seldom, and numbers say how often."""
    few = len(percent) <= 10
    sns.heatmap(
        percent,
        ax=ax,
        cmap="Blues",
        norm=PowerNorm(0.5, vmin=0.0, vmax=100.0),
        annot=np.where(percent >= 0.5, np.char.mod("%.0f", percent), "") if few else False,
        fmt="",
        annot_kws={"fontsize": 6},
        cbar=False,
        xticklabels=list(names) or False,
        yticklabels=(named_rows and list(names)) or False,
    )
    readable(ax)
    column_names(ax, names, level=2, rotation=90)


def _map(
    ax: Axes,
    values: npt.NDArray[np.float64],
    columns: Sequence[str],
    rows: Sequence[str],
    *,
    level: int,
    first: bool = False,
) -> None:
    """Numbers on colours; with ``first`` the first row is the full data set, and the colours are of the other rows' range."""
    own = values[1:] if first and len(values) > 1 else values
    sns.heatmap(
        values,
        ax=ax,
        cmap=MAP,
        vmin=float(np.nanmin(own)),
        vmax=float(np.nanmax(own)),
        annot=True,
        fmt=".1f" if values.shape[1] <= 10 else ".0f",
        annot_kws={"fontsize": 7},
        cbar=False,
        xticklabels=list(columns) or False,
        yticklabels=list(rows) or False,
        linewidths=0.4,
    )
    readable(ax)
    column_names(ax, columns, level=level)


def readable(ax: Axes) -> None:
    """Numbers in black or white, whichever has the higher contrast with its cell; at least 4.5 with any colour (WCAG 2.2)."""
    colours = np.asarray(ax.collections[0].get_facecolor())[:, :3]
    columns = round(ax.get_xlim()[1])
    for number in ax.texts:
        column, row = (int(place) for place in number.get_position())
        number.set_color("black" if luminance(colours[row * columns + column]) > _MIDDLE else "white")


def luminance(colour: npt.NDArray[np.float64]) -> float:
    """Relative luminance in [0, 1] of an sRGB colour, red, green and blue in [0, 1] (WCAG 2.2)."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def column_names(ax: Axes, columns: Sequence[str], *, level: int, rotation: int = 45) -> None:
    """Names without ticks: level where the longest has at most ``level`` characters, which fit a column; else turned."""
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    long = any(len(name) > level for name in columns)
    ax.tick_params(axis="x", rotation=rotation if long else 0)
    for label in ax.get_xticklabels():
        label.set_horizontalalignment("right" if long and rotation < 90 else "center")
        label.set_rotation_mode("anchor" if long and rotation < 90 else "default")
