"""How every figure looks: one colour and marker per method everywhere, fonts that are the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns

from bacon.reporting.collect.protocol_text import FULL

# Okabe and Ito (2008), colour-blind safe, without yellow (too light for lines on white); then Paul Tol's muted scheme.
_COLOURS = {
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#767676",
    "wine": "#882255",
    "teal": "#44AA99",
    "indigo": "#332288",
    "olive": "#999933",
}


@dataclass(frozen=True)
class MethodStyle:
    """Colour (hex) and marker of a method; no two of the named methods share either."""

    colour: str
    marker: str


_STYLES = {
    FULL: MethodStyle("#000000", "_"),
    "random": MethodStyle(_COLOURS["grey"], "o"),
    "dm": MethodStyle(_COLOURS["green"], "s"),
    "idm": MethodStyle(_COLOURS["blue"], "^"),
    "bacon": MethodStyle(_COLOURS["vermilion"], "D"),
    "herding": MethodStyle(_COLOURS["olive"], "v"),
    "kcenter": MethodStyle(_COLOURS["sky"], "P"),
    "forgetting": MethodStyle(_COLOURS["wine"], "X"),
    "dc": MethodStyle(_COLOURS["purple"], "<"),
    "dsa": MethodStyle(_COLOURS["orange"], ">"),
    "datadam": MethodStyle(_COLOURS["teal"], "p"),
    "mtt": MethodStyle(_COLOURS["indigo"], "h"),
}
# Methods that are not listed (one's own, variants) share no colour with those that are.
_OTHER_COLOURS = ("#AA4499", "#661100", "#6699CC", "#BB5566", "#117733")
_OTHER_MARKERS = ("*", "d", "8", "H", "1", "2", "3", "4")


def method_style(method: str) -> MethodStyle:
    """The style of a method by its name in configurations (``k-center`` and ``k_center`` are ``kcenter``).

    A method that is not listed gets a colour and a marker that no listed method has, both from a hash of its
    name: the same in every figure and run, whatever else is drawn.
    """
    name = method.replace("-", "").replace("_", "").lower()
    if name in _STYLES:
        return _STYLES[name]
    digest = hashlib.blake2b(name.encode(), digest_size=2).digest()
    colour = _OTHER_COLOURS[digest[0] % len(_OTHER_COLOURS)]
    return MethodStyle(colour, _OTHER_MARKERS[digest[1] % len(_OTHER_MARKERS)])


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings for the time of one figure; whatever was set before is restored."""
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
    with mpl.rc_context(settings):
        yield
