"""Names beside points, placed so that no name covers another, a marker, or the edge of the panel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

_MARKER = 4.0  # points, half the side of the square that a marker takes
_PADDING = 1.0  # points between names
_DISTANCES = (5.0, 11.0, 19.0, 29.0, 41.0)  # points from the marker; from the second on a line leads there
_DIRECTIONS = tuple(np.deg2rad([90, 45, 135, 0, 180, 315, 225, 270]))


def place_labels(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    taken: Sequence[tuple[float, float]],
    size: float = 6.5,
) -> list[Annotation]:
    """Write ``names`` beside ``points``, the first ones nearest; a name for which there is no room is left out.

    The figure's layout must be final: places are found on the page.

    Args:
        ax: the panel.
        points: in data coordinates.
        names: of the points.
        taken: all markers of the panel, in data coordinates, which names must not cover.
        size: of the letters, in points.

    Returns:
        The names that were placed.
    """
    pixels = ax.figure.dpi / 72
    markers = ax.transData.transform(np.asarray(taken, np.float64).reshape(-1, 2))
    covered = [Bbox.from_extents(x, y, x, y).padded(_MARKER * pixels) for x, y in markers]
    placed = []
    for point, name in zip(points, names, strict=True):
        label = _placed(ax, point, name, covered, size)
        if label is not None:
            placed.append(label)
            covered.append(_box(label).padded(_PADDING * pixels))
    return placed


def _placed(ax: Axes, point: tuple[float, float], name: str, covered: Sequence[Bbox], size: float) -> Annotation | None:
    for distance in _DISTANCES:
        for angle in _DIRECTIONS:
            label = _annotation(ax, point, name, distance, float(angle), size)
            box, panel = _box(label), ax.get_window_extent()
            inside = panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 and box.y1 <= panel.y1
            if inside and not any(box.overlaps(other) for other in covered):
                return label
            label.remove()
    return None


def _annotation(
    ax: Axes, point: tuple[float, float], name: str, distance: float, angle: float, size: float
) -> Annotation:
    right, up = np.cos(angle), np.sin(angle)
    line = {"arrowstyle": "-", "color": "#888888", "linewidth": 0.5, "shrinkA": 0.0, "shrinkB": 3.0}
    label = ax.annotate(
        name,
        point,
        xytext=(distance * right, distance * up),
        textcoords="offset points",
        fontsize=size,
        ha="center" if abs(right) < 0.1 else "left" if right > 0 else "right",
        va="center" if abs(up) < 0.1 else "bottom" if up > 0 else "top",
        arrowprops=line if distance > _DISTANCES[0] else None,
        zorder=5,
    )
    label.set_in_layout(False)
    return label


def _box(label: Annotation) -> Bbox:
    """The letters alone, without the line that leads to them."""
    label.update_positions(label.figure.canvas.get_renderer())
    return super(Annotation, label).get_window_extent()
