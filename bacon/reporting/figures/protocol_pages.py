"""How the heat maps of methods under every protocol are laid out on pages that can be read and printed. No matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

HEIGHT, WIDTH = 9.0, 10.5
"""Inches that the panels of a page may take, where one panel fits them."""
NAMES = 1.6
"""Inches of the methods' names."""
FRAME = 1.2
"""Inches of a panel's title and of the protocols' names beneath it."""
COLUMN = 0.95
"""Inches of a protocol."""
_ROW, _LEAST_ROW = 0.42, 0.22  # inches of a method: two lines of text
_WIDEST = 4  # protocols of panels that stand side by side where there are few methods
MANY = 9
"""Methods from which a page is one line of panels, the IPCs of a data set side by side."""
Panel = TypeVar("Panel")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How many panels stand on a page."""

    across: int
    lines: int
    row: float
    """Inches of a method."""

    @property
    def panels(self) -> int:
        """Panels of a full page."""
        return self.across * self.lines


def layout(*, methods: int, protocols: int, ipcs: int) -> Layout:
    """The pages of a grid.

    Args:
        methods: rows of a panel, the full data set among them.
        protocols: columns of a panel.
        ipcs: the most IPCs that a data set has with a network.
    """
    row = min(_ROW, max(_LEAST_ROW, (HEIGHT - FRAME) / methods))
    if methods < MANY:
        across = 1 if protocols > _WIDEST else 2
        return Layout(across=across, lines=max(1, math.floor(HEIGHT / (FRAME + row * methods))), row=row)
    fitting = max(1, math.floor((WIDTH - NAMES) / (COLUMN * protocols)))
    return Layout(across=min(fitting, ipcs), lines=1, row=row)


def pages(panels: Sequence[Panel], chosen: Layout) -> list[list[Panel]]:
    """The panels of each page, in order."""
    return [list(panels[start : start + chosen.panels]) for start in range(0, len(panels), chosen.panels)]


def paged(name: str, page: int) -> str:
    """A name of the first page, 0, is the plain one; others are numbered from 2."""
    return name if page == 0 else f"{name}_{page + 1}"


def page_title(title: str, page: int, count: int) -> str:
    """The title of a page of several says which it is."""
    return title if count == 1 else f"{title} (page {page + 1} of {count})"
