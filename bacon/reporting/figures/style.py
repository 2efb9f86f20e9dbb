"""How every figure looks: one colour, marker and line style per method everywhere, fonts that are the same on every machine.

A method's record gives it a place in a fixed sequence (``Method.figure_place``). Colours and markers both go round in that
sequence, and their numbers have no common divisor: eight methods in a row differ in colour, eleven in marker, 88 in the pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import seaborn as sns

from bacon.reporting.collect.protocol_text import FULL

COLOURS = ("#767676", "#009E73", "#0072B2", "#D55E00", "#E69F00", "#56B4E9", "#882255", "#CC79A7")
"""Grey; then Okabe and Ito (2008), safe for colour-blind readers, with Paul Tol's wine for their yellow, too light on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">", "p", "d")
"""Filled markers. Places of one colour are 8 apart: shapes that resemble each other (o and p, D and d) never share one."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1, 1.1)), (0, (5, 1.4, 1, 1.4)))
"""Line styles: a colour that comes round again has the next one."""
PLACES = len(COLOURS) * len(MARKERS)
MANY = len(COLOURS)
"""More methods than this in one panel share colours and would hide each other's bands: figures are laid out for it."""


@dataclass(frozen=True)
class MethodStyle:
    """How a method is drawn."""

    colour: str
    """Hexadecimal."""
    marker: str
    dash: Any = "-"
    """Line style, as matplotlib takes it."""
    filled: bool = True
    """Variants have open markers."""

    @property
    def face(self) -> str:
        """Colour inside the marker."""
        return self.colour if self.filled else "white"


_FULL_STYLE = MethodStyle("#000000", "_", (0, (5, 3)))
_styles: ContextVar[Mapping[str, MethodStyle]] = ContextVar("styles", default=MappingProxyType({}))


def style_at(place: int) -> MethodStyle:
    """The style at a place of the sequence, from 0."""
    return MethodStyle(
        COLOURS[place % len(COLOURS)],
        MARKERS[place % len(MARKERS)],
        DASHES[place // len(COLOURS) % len(DASHES)],
    )


def method_styles(places: Mapping[str, int], variants: Mapping[str, str]) -> dict[str, MethodStyle]:
    """The styles of methods and their variants; no two alike up to 88 methods and eleven variants of a colour.

    A variant has the colour of its method, an open marker, and among those of its colour a marker and a line style of its own.

    Args:
        places: method -> its place in the sequence.
        variants: variant -> its method, which has a place.
    """
    found = {name: style_at(place) for name, place in places.items()}
    taken: dict[str, int] = {}
    for name, base in variants.items():
        own = found[base]
        turn = taken.get(own.colour, 0)
        taken[own.colour] = turn + 1
        found[name] = MethodStyle(
            own.colour, MARKERS[turn % len(MARKERS)], DASHES[(turn + 1) % len(DASHES)], filled=False
        )
    return found


def method_style(method: str) -> MethodStyle:
    """The style of a method by its name in configurations.

    Inside :func:`figure_style` it is the one given there. A name that was not given, as in a table from elsewhere, takes the
    place that a hash of it says: the same in every figure, but another name may have it too.
    """
    if method == FULL:
        return _FULL_STYLE
    given = _styles.get().get(method)
    if given is not None:
        return given
    digest = hashlib.blake2b(method.encode(), digest_size=4).digest()
    return style_at(int.from_bytes(digest, "big") % PLACES)


@contextmanager
def figure_style(styles: Mapping[str, MethodStyle] | None = None) -> Iterator[None]:
    """Matplotlib settings and the styles of methods for the time of one figure; whatever was set before is restored."""
    fixed: dict[str, Any] = {
        "font.family": "sans-serif",
        # The font that comes with matplotlib, so that figures are the same on every machine.
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 8.5,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.labelsize": 8.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "axes.edgecolor": "#444444",
        "axes.linewidth": 0.8,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.5,
        "lines.markersize": 5,
        "figure.facecolor": "white",
        # Text as text: searchable, and embedded as TrueType as most publishers ask.
        "pdf.fonttype": 42,
        # Titles are the user's own words: a dollar sign is a dollar sign.
        "text.parse_math": False,
        "savefig.dpi": 200,
    }
    settings: Any = {**sns.axes_style("ticks"), **fixed}
    token = _styles.set(_styles.get() if styles is None else styles)
    try:
        with mpl.rc_context(settings):
            yield
    finally:
        _styles.reset(token)
