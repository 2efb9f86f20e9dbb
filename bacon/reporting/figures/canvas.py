"""What figures share: panels, legend, caption, and files whose bytes repeat and that carry the aggregate's fingerprint."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator

from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.figures.class_labels import ClassLabels, drawable, one_line, shortened
from bacon.reporting.figures.style import method_style
from bacon.runtime.atomic import atomic_path, write_json
from bacon.runtime.errors import BaconError

CAPTION_SIZE = 7.0
NO_BARS = "one distillation seed, so no intervals"
"""In captions of figures whose bars or numbers would be intervals."""
_POINTS_PER_INCH = 72.0
_TITLE_LETTER = 0.09  # inches, the mean width of a letter of a title, and a little more
_BLANK = "\N{NO-BREAK SPACE}"


class FigurePage(Figure):
    """A figure with title and caption, printed on it and, for reports, written to the ``.json`` file next to it."""

    title: str = ""
    caption: str = ""


def panels(rows: int, columns: int, *, width: float, height: float) -> tuple[FigurePage, list[list[Axes]]]:
    """A figure of ``rows`` x ``columns`` panels, each about ``width`` x ``height`` inches, drawn without pyplot.

    Pyplot keeps every figure in a global list and picks a backend; a plain figure on the Agg canvas does neither.
    """
    # A narrower figure could not hold a caption.
    size = (max(width * columns + 0.4, 4.6), height * rows + 0.1)
    figure = FigurePage(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def finish(
    figure: FigurePage,
    *,
    title: str,
    caption: str,
    legend: Sequence[Line2D] = (),
    classes: Sequence[ClassLabels] = (),
) -> None:
    """Give a constrained-layout figure its title, a legend beneath the title and a caption below the panels.

    The caption ends with the keys of ``classes``, where their labels are numbers.
    """
    sns.despine(fig=figure)
    width, inner = figure.get_size_inches()
    text = describe(figure, title=title, caption=caption, classes=classes, width=width)
    legend_columns = _legend_columns(legend, width - 0.2)
    header = 0.34 + 0.2 * math.ceil(len(legend) / legend_columns)
    footer = (text.count("\n") + 1) * CAPTION_SIZE * 1.35 / _POINTS_PER_INCH + 0.12
    # Both get height of their own, so that a long caption or legend does not squeeze the panels.
    height = inner + header + footer
    figure.set_size_inches(width, height)
    engine = figure.get_layout_engine()
    assert engine is not None, "figures of `panels` have a layout engine"
    engine.set(rect=(0.0, footer / height, 1.0, inner / height))  # type: ignore[call-arg]
    add_title(figure, title)
    if legend:
        figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(0.02 / width, 1 - 0.27 / height),
            ncols=legend_columns,
            borderaxespad=0.0,
            handletextpad=0.5,
            columnspacing=1.4,
        ).set_in_layout(False)
    add_caption(figure, text)
    keep_to_font(figure)


def describe(figure: FigurePage, *, title: str, caption: str, classes: Sequence[ClassLabels], width: float) -> str:
    """Give a figure its title and caption for reports; returns the caption to draw, in lines that fit ``width`` inches."""
    keys, drawn = (dict.fromkeys(getattr(one, name) for one in classes) for name in ("key", "drawn_key"))
    figure.title, figure.caption = title, " ".join(filter(None, [caption, *keys]))
    return wrap_caption(drawable(" ".join(filter(None, [caption, *drawn]))), width)


def keep_to_font(figure: FigurePage) -> None:
    """Put a square for every character that the font lacks, in titles of data sets and methods, which are the user's words."""
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_text(drawable(text.get_text()))
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if not isinstance(axis.get_major_locator(), FixedLocator):
                continue
            shown = [label.get_text() for label in axis.get_ticklabels()]
            if shown != (kept := [drawable(text) for text in shown]):
                axis.set_ticklabels(kept)


def _legend_columns(legend: Sequence[Line2D], width: float) -> int:
    """How many entries stand beside each other in ``width`` inches: all, or as many as the longest allows."""
    # Handle and gaps, and the mean width of a character.
    widths = [0.5 + 0.075 * len(str(handle.get_label())) for handle in legend]
    if sum(widths) <= width:
        return max(1, len(widths))
    return max(1, int(width / max(widths)))


def add_title(figure: Figure, title: str) -> None:
    """Put the title at the upper left edge, in one line that fits."""
    width, height = figure.get_size_inches()
    shown = shortened(one_line(title), int((width - 0.16) / _TITLE_LETTER))
    text = figure.text(0.08 / width, 1 - 0.06 / height, shown, fontsize=10.5, fontweight="bold", ha="left", va="top")
    text.set_in_layout(False)


def wrap_caption(caption: str, width: float) -> str:
    """The caption broken into lines that fit ``width`` inches."""
    # "n = 15" stays on one line: only ordinary spaces end one.
    kept = re.sub(r"\bn = (?=\d)", f"n{_BLANK}={_BLANK}", caption)
    points, blank = (width - 0.15) * _POINTS_PER_INCH, _caption_points(_BLANK)
    lines: list[list[str]] = [[]]
    used = 0.0
    for word in (piece for whole in kept.split(" ") for piece in _pieces(whole, points)):
        if lines[-1] and used + blank + _caption_points(word) > points:
            lines.append([])
            used = 0.0
        used += _caption_points(word) + (blank if lines[-1] else 0.0)
        lines[-1].append(word)
    return "\n".join(" ".join(line) for line in lines).replace(_BLANK, " ")


def _pieces(word: str, points: float) -> list[str]:
    """A word, cut where it is longer than a line."""
    length = _caption_points(word)
    if length <= points:
        return [word] if word else []
    most = max(1, int(len(word) * points / length * 0.8))
    return [word[start : start + most] for start in range(0, len(word), most)]


@lru_cache(maxsize=4096)
def _caption_points(text: str) -> float:
    """Width of a word of a caption, in points, as it is drawn."""
    font = FontProperties(size=CAPTION_SIZE)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def add_caption(figure: Figure, text: str) -> None:
    """Put a wrapped caption at the lower left edge."""
    width, height = figure.get_size_inches()
    shown = figure.text(
        0.08 / width, 0.06 / height, text, fontsize=CAPTION_SIZE, color="#444444", ha="left", va="bottom"
    )
    shown.set_linespacing(1.25)
    shown.set_in_layout(False)


def method_handles(table: pd.DataFrame, *, line: bool, marker: bool = True, level: Sequence[str] = ()) -> list[Line2D]:
    """Legend entries of the methods in a table (columns method, method_title), without the full data set.

    Args:
        table: any table with those columns; its order is the legend's.
        line: whether methods are drawn as lines.
        marker: whether lines have markers.
        level: methods drawn as level lines, without markers.
    """
    handles = []
    for method, title in table[["method", "method_title"]].drop_duplicates().itertuples(index=False, name=None):
        if method != FULL:
            style = method_style(method)
            shown = style.marker if marker and method not in level else ""
            dash = style.dash if line else ""
            handles.append(Line2D([], [], color=style.colour, marker=shown, mfc=style.face, ls=dash, label=title))
    return handles


def interval_arms(table: pd.DataFrame, mean: str = "mean_percent") -> npt.NDArray[np.float64]:
    """Lengths of error bars from the column ``mean`` to ``ci_low`` and ``ci_high``, float64 (2, rows); 0 without interval."""
    low, middle, high = (table[name].to_numpy(np.float64) for name in ("ci_low", mean, "ci_high"))
    # A mean of 100 percent can be summed to a little more; fmax gives the number where the other is missing.
    arms: npt.NDArray[np.float64] = np.fmax(np.stack([middle - low, high - middle]), 0.0)
    return arms


def grid_shape(count: int, *, widest: int = 3) -> tuple[int, int]:
    """Rows and columns for ``count`` panels, as even as possible: 4 are 2 x 2, 5 are 2 x 3."""
    rows = math.ceil(count / widest)
    return rows, math.ceil(count / rows)


def save(figure: FigurePage, *, fingerprint: str, outputs: Sequence[Path]) -> None:
    """Write a figure as png (200 dpi) and pdf, and its title and caption as json, by suffix; the same figure, the same bytes.

    The fingerprint is in the png's text chunk ``Fingerprint``, in the pdf's ``Keywords`` and in the json.

    Raises:
        BaconError: another suffix.
    """
    metadata = {
        # None leaves an entry out: dates and versions would change the bytes, not the figure.
        ".png": {"Software": None, "Title": figure.title, "Fingerprint": fingerprint},
        ".pdf": {
            "Creator": None,
            "Producer": None,
            "CreationDate": None,
            "Title": figure.title,
            "Keywords": fingerprint,
        },
    }
    for output in outputs:
        if output.suffix == ".json":
            write_json(output, {"title": figure.title, "caption": figure.caption, "fingerprint": fingerprint})
            continue
        if output.suffix not in metadata:
            allowed = ".png, .pdf or .json"
            raise BaconError(f"{output}: figures are written as {allowed}, not {output.suffix or 'without suffix'}")
        with atomic_path(output) as temporary:
            figure.savefig(temporary, dpi=200, format=output.suffix[1:], metadata=metadata[output.suffix])
