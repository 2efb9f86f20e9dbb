"""Real and synthetic images in two dimensions, one panel per method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from bacon.reporting.collect.embedded_images import EmbeddedSet, Embedding, Points
from bacon.reporting.collect.shown_snapshots import spread
from bacon.reporting.figures.canvas import FigurePage, finish, grid_shape, panels
from bacon.reporting.figures.class_labels import class_labels
from bacon.reporting.figures.style import method_style

ABREAST = 6
_REAL = "#BBBBBB"
_LINE_POINTS = 8.0
_MOST_LETTERS = 12  # of a class name among the points
_HALO = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}


def embedding_figure(embedding: Embedding, *, title: str, ipc: int, network: str) -> FigurePage:
    """Rows: PCA and t-SNE; columns: methods, up to ``ABREAST``, further ones below. Real images grey, their classes named.

    Args:
        embedding: the points.
        title: of the figure.
        ipc: images per class of the distilled sets.
        network: the embedding network in words.
    """
    real, *methods = embedding.clouds
    shown = spread(range(embedding.classes), len(embedding.class_names))
    labels = class_labels(embedding.class_names, shown, most=_MOST_LETTERS)
    lines, columns = grid_shape(len(methods), widest=ABREAST)
    figure, axes = panels(2 * lines, columns, width=2.3 if len(methods) > 1 else 4.2, height=2.2)
    for place in range(len(methods), lines * columns):
        for row in (0, 1):
            axes[2 * (place // columns) + row][place % columns].set_visible(False)
    for place, cloud in enumerate(methods):
        line, column = divmod(place, columns)
        for row, (kind, of_real, points) in enumerate((("PCA", real.pca, cloud.pca), ("t-SNE", real.tsne, cloud.tsne))):
            ax = axes[2 * line + row][column]
            _panel(ax, of_real, points, cloud, real, labels.texts)
            if row == 0:
                ax.set_title(cloud.title)
            if column == 0:
                ax.set_ylabel(kind)
    handles = [
        Line2D([], [], color=_REAL, marker=".", ls="", label="Real images"),
        *(_handle(cloud) for cloud in methods),
    ]
    finish(figure, title=title, caption=_caption(embedding, ipc, network), legend=handles, classes=[labels])
    return figure


def _handle(cloud: EmbeddedSet) -> Line2D:
    style = method_style(str(cloud.method))
    return Line2D([], [], color=style.colour, marker=style.marker, mfc=style.face, ls="", label=cloud.title)


def _panel(
    ax: Axes, of_real: Points, points: Points, cloud: EmbeddedSet, real: EmbeddedSet, names: tuple[str, ...]
) -> None:
    style = method_style(str(cloud.method))
    ax.scatter(of_real[:, 0], of_real[:, 1], s=5, color=_REAL, linewidths=0, zorder=1)
    ax.scatter(
        points[:, 0], points[:, 1], s=14, color=style.face, marker=style.marker, zorder=2,
        edgecolors="white" if style.filled else style.colour, linewidths=0.3 if style.filled else 0.8,
    )  # fmt: skip
    # Real images set the scale; synthetic ones far out stand at the edge of it.
    near, far = np.quantile(points, (0.02, 0.98), axis=0)
    low, high = np.minimum(of_real.min(axis=0), near), np.maximum(of_real.max(axis=0), far)
    margin = 0.06 * (high - low)
    ax.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    ax.set(xticks=[], yticks=[])
    _name_classes(ax, [np.median(of_real[real.labels == place], axis=0) for place in range(len(names))], names)


def _name_classes(ax: Axes, middles: Sequence[npt.NDArray[np.floating]], names: tuple[str, ...]) -> None:
    """Names at the middles of the classes; one that would cover another moves up or down by lines until it does not."""
    taken: list[Bbox] = []
    for middle, name in zip(middles, names, strict=True):
        text = ax.annotate(
            name, (float(middle[0]), float(middle[1])), xytext=(0, 0), textcoords="offset points", fontsize=7, ha="center",
            va="center", bbox=_HALO, zorder=3,
        )  # fmt: skip
        for lines in sorted(range(-len(names), len(names) + 1), key=abs):
            text.set_position((0, lines * _LINE_POINTS))
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def _caption(embedding: Embedding, ipc: int, network: str) -> str:
    real, *methods = embedding.clouds
    counts = ", ".join(f"{one.title} {len(one.labels)}" for one in methods)
    first, second = embedding.explained
    thinned = ""
    if len(embedding.class_names) < embedding.classes:
        thinned = f" {len(embedding.class_names)} of {embedding.classes} classes, evenly spaced."
    return (
        f"Embeddings by one untrained network ({network}, seed 0), the kind of features that distribution matching "
        f"compares. PCA: axes fitted to the real images, {100 * first:.0f} and {100 * second:.0f} % of their "
        "variance. t-SNE: of the first 30 components, all images together; only its neighbourhoods are "
        f"meaningful. {len(real.labels)} real training images; synthetic, IPC {ipc}, first seed, decoded: "
        f"{counts}. Class names are at the medians of the real images, moved up or down where they would "
        f"overlap.{thinned}"
    )
