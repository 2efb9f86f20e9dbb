"""What figures share: panels, legend, caption, and files whose bytes repeat and that carry the aggregate's fingerprint."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bacon.reporting.figures.style import method_style
from bacon.reporting.protocol import FULL
from bacon.runtime.atomic import atomic_path
from bacon.runtime.errors import BaconError

CAPTION_SIZE = 7.0
_POINTS_PER_INCH = 72.0


def panels(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``rows`` x ``columns`` panels, each about ``width`` x ``height`` inches, drawn without pyplot.

    Pyplot keeps every figure in a global list and picks a backend; a plain figure on the Agg canvas does neither.
    """
    # Room for axis labels, a heading and a caption on top of the panels; narrow figures could not hold a caption.
    size = (max(width * columns + 0.4, 4.6), height * rows + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def finish(figure: Figure, *, title: str, caption: str, legend: Sequence[Line2D] = ()) -> None:
    """Give a constrained-layout figure its title, a legend above the panels and a caption below them, none overlapping."""
    sns.despine(fig=figure)
    width, height = figure.get_size_inches()
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.012, ha="left")
    if legend:
        per_row = max(1, min(len(legend), int(width / 1.25)))
        figure.legend(handles=list(legend), loc="outside upper center", ncols=per_row, handletextpad=0.5)
    text = wrap_caption(caption, width)
    line_height = CAPTION_SIZE * 1.35 / _POINTS_PER_INCH
    reserved = (text.count("\n") + 1) * line_height + 0.12
    # The caption gets its own height, so that a long one does not squeeze the panels.
    figure.set_size_inches(width, height + reserved)
    share = reserved / (height + reserved)
    engine = figure.get_layout_engine()
    assert engine is not None, "figures of `panels` have a layout engine"
    engine.set(rect=(0.0, share, 1.0, 1.0 - share))  # type: ignore[call-arg]
    add_caption(figure, text)


def wrap_caption(caption: str, width: float) -> str:
    """The caption broken into lines that fit ``width`` inches."""
    # 0.53 em is the mean width of a character of this font in running text.
    characters = int((width - 0.15) * _POINTS_PER_INCH / (CAPTION_SIZE * 0.53))
    return textwrap.fill(caption, characters)


def add_caption(figure: Figure, text: str) -> None:
    """Put a wrapped caption at the lower left edge."""
    width, height = figure.get_size_inches()
    figure.text(
        0.08 / width,
        0.06 / height,
        text,
        fontsize=CAPTION_SIZE,
        color="#444444",
        ha="left",
        va="bottom",
        linespacing=1.25,
    )


def method_handles(table: pd.DataFrame, *, line: bool, marker: bool = True) -> list[Line2D]:
    """Legend entries of the methods in a table (columns method, method_title), without the full data set."""
    named = table[["method", "method_title"]].drop_duplicates()
    handles = []
    for method, title in named.itertuples(index=False, name=None):
        if method != FULL:
            style = method_style(method)
            shown = style.marker if marker else ""
            handles.append(Line2D([], [], color=style.colour, marker=shown, ls="-" if line else "", label=title))
    return handles


def grid_shape(count: int, *, widest: int = 3) -> tuple[int, int]:
    """Rows and columns for ``count`` panels, as even as possible: 4 are 2 x 2, 5 are 2 x 3."""
    rows = math.ceil(count / widest)
    return rows, math.ceil(count / rows)


def save(figure: Figure, *, fingerprint: str, title: str, outputs: Sequence[Path]) -> None:
    """Write a figure as png (200 dpi) and pdf, by suffix; the same figure gives the same bytes.

    The fingerprint stands in the png's text chunk ``Fingerprint`` and in the pdf's ``Keywords``.

    Raises:
        BaconError: another suffix.
    """
    metadata = {
        # None leaves an entry out: dates and versions would change the bytes, not the figure.
        ".png": {"Software": None, "Title": title, "Fingerprint": fingerprint},
        ".pdf": {"Creator": None, "Producer": None, "CreationDate": None, "Title": title, "Keywords": fingerprint},
    }
    for output in outputs:
        if output.suffix not in metadata:
            raise BaconError(f"{output}: figures are written as .png or .pdf, not {output.suffix or 'without suffix'}")
        with atomic_path(output) as temporary:
            figure.savefig(temporary, dpi=200, format=output.suffix[1:], metadata=metadata[output.suffix])
