"""Names beside points, placed so that no name covers another, a marker, a line, or the edge of the panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

_MARKER = 4.5  # points, half the side of the square that a marker takes
_PADDING = 1.0  # points between names
_DISTANCES = (6.0, 11.0, 19.0, 29.0, 41.0)  # points from the marker; from the second on a line leads there
_DIRECTIONS = tuple(np.deg2rad([90, 45, 135, 0, 180, 315, 225, 270]))
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Place:
    """Where the middle of a name lies, in points from its marker, and whether a line leads there."""

    right: float
    up: float
    leads: bool


def place_labels(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    taken: Sequence[tuple[float, float]],
    steps: Sequence[tuple[float, float]] = (),
    size: float = 6.5,
) -> list[Annotation]:
    """Write ``names`` beside ``points``, the first ones nearest; a name for which there is no room is left out.

    The figure's layout must be final: places are found on the page.

    Args:
        ax: the panel.
        points: in data coordinates.
        names: of the points.
        taken: all markers of the panel, in data coordinates, which names must not cover.
        steps: corners of a line that they must not cover either; it goes level and upright alone.
        size: of the letters, in points.

    Returns:
        The names that were placed.
    """
    pixels = ax.figure.dpi / 72
    anchors, markers, corners = (
        ax.transData.transform(np.asarray(each, np.float64).reshape(-1, 2)) for each in (points, taken, steps)
    )
    covered = [Bbox([where, where]).padded(_MARKER * pixels) for where in markers]
    covered += [Bbox([start, end]).padded(_PADDING * pixels) for start, end in pairwise(corners)]
    placed, panel = [], ax.get_window_extent()
    for point, anchor, name in zip(points, anchors, names, strict=True):
        label = _annotation(ax, point, name, size)
        found = _place(anchor, _letters(label), covered, panel, pixels)
        if found is None:
            label.remove()
            continue
        place, box = found
        _move(label, place)
        placed.append(label)
        covered.append(box.padded(_PADDING * pixels))
    return placed


def _place(
    anchor: Vector, letters: Bbox, covered: Sequence[Bbox], panel: Bbox, pixels: float
) -> tuple[_Place, Bbox] | None:
    """Where the middle of a name comes to lie, and its box; ``None``: there is no room."""
    for distance, angle in product(_DISTANCES, _DIRECTIONS):
        right, up = np.cos(angle), np.sin(angle)
        middle = anchor + pixels * distance * np.array([right, up])
        middle += 0.5 * np.array([letters.width * _sign(right), letters.height * _sign(up)])
        half = 0.5 * np.array([letters.width, letters.height])
        box = Bbox([middle - half, middle + half])
        inside = panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 and box.y1 <= panel.y1
        if inside and not any(box.overlaps(other) for other in covered):
            offset = (middle - anchor) / pixels
            return _Place(float(offset[0]), float(offset[1]), leads=distance > _DISTANCES[0]), box
    return None


def _sign(part: float) -> float:
    """On which side of the point a name lies; 0: across it."""
    return 0.0 if abs(part) < 0.1 else float(np.sign(part))


def _annotation(ax: Axes, point: tuple[float, float], name: str, size: float) -> Annotation:
    line = {"arrowstyle": "-", "color": "#888888", "linewidth": 0.5, "shrinkA": 0.0, "shrinkB": 3.0}
    label = ax.annotate(
        name,
        point,
        xytext=(0.0, 0.0),
        textcoords="offset points",
        fontsize=size,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.3},
        arrowprops=line,
        zorder=5,
    )
    label.set_in_layout(False)
    return label


def _letters(label: Annotation) -> Bbox:
    """The box of the letters alone, without the line that leads to them."""
    return Text.get_window_extent(label)


def _move(label: Annotation, place: _Place) -> None:
    label.xyann = (place.right, place.up)
    if label.arrow_patch is not None:
        label.arrow_patch.set_visible(place.leads)
