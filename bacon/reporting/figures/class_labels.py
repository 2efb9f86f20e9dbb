"""Other people's class names in figures: as they are, shortened, or numbered with a key, and never a glyph that is missing.

Figures have one font, the one that comes with matplotlib, so that they are the same on every machine. It has Latin, Greek,
Cyrillic, Arabic and Hebrew letters and many signs, but no Chinese, Japanese, Korean, Indian or Thai ones. Names with letters
that it lacks are numbered in the figure; the caption that the report shows, whose font is the browser's, holds the names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"
_BLANK = "\N{NO-BREAK SPACE}"
_ELLIPSIS, _MISSING = "\N{HORIZONTAL ELLIPSIS}", "\N{WHITE SQUARE}"
_KEY_NAME = 48  # characters of a name in a key
# Joiners and variation selectors change how the sign before them looks, in fonts that have both.
_INVISIBLE = frozenset({"Cf", "Mn", "Me"})


@dataclass(frozen=True)
class ClassLabels:
    """How classes are called in a figure.

    Attributes:
        texts: one for each class.
        key: a sentence of the caption that says what numbers stand for; empty where there are none.
        drawn_key: the same in letters that the font has.
    """

    texts: tuple[str, ...]
    key: str = ""
    drawn_key: str = ""

    @property
    def longest(self) -> int:
        """Characters of the longest."""
        return max(map(len, self.texts), default=0)


def class_labels(names: Sequence[str], numbers: Sequence[int], *, most: int) -> ClassLabels:
    """Labels of at most ``most`` characters.

    Args:
        names: of the classes, as the data set calls them.
        numbers: the label of each, from 0.
        most: characters that a figure has room for.

    Returns:
        The names where they fit; shortened in the middle where that keeps half of each and they still differ; else numbers.
    """
    plain = [one_line(name) for name in names]
    if not all(map(is_drawable, plain)):
        return _numbered(plain, numbers)
    if max(map(len, plain), default=0) <= most and len(set(plain)) == len(plain) and all(plain):
        return ClassLabels(tuple(plain))
    short = [shortened(name, most) for name in plain]
    if len(set(short)) == len(short) and all(short) and max(map(len, plain)) <= 2 * most:
        return ClassLabels(tuple(short))
    return _numbered(plain, numbers)


def _numbered(names: Sequence[str], numbers: Sequence[int]) -> ClassLabels:
    listed = [
        f"{number} {shortened(name, _KEY_NAME) or '(no name)'}" for number, name in zip(numbers, names, strict=True)
    ]
    key = f"Classes by their number, from 0: {'; '.join(listed)}."
    if all(map(is_drawable, names)):
        # A number and its name stay on one line.
        drawn = f"Classes by their number, from 0: {'; '.join(one.replace(' ', _BLANK) for one in listed)}."
    else:
        drawn = "Classes by their number, from 0; this font lacks letters of their names, which are in the report's caption."
    return ClassLabels(tuple(map(str, numbers)), key, drawn)


def one_line(text: str) -> str:
    """Text without line breaks, control characters and repeated spaces."""
    visible = "".join(" " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character for character in text)
    return " ".join(unicodedata.normalize("NFC", visible).split())


def shortened(text: str, most: int) -> str:
    """Text of at most ``most`` characters, its middle left out where it is longer."""
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 5
    return text[: most - 1 - tail].rstrip() + _ELLIPSIS + text[len(text) - tail :].lstrip()


def is_drawable(text: str) -> bool:
    """Whether the font has every character of a text."""
    return all(_has_glyph(character) for character in text)


def drawable(text: str) -> str:
    """A text with a square in place of each visible character that the font lacks."""
    kept = (
        character for character in text if _has_glyph(character) or unicodedata.category(character) not in _INVISIBLE
    )
    return "".join(character if character == "\n" or _has_glyph(character) else _MISSING for character in kept)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    return _font().get_char_index(ord(character)) != 0


@lru_cache(maxsize=1)
def _font() -> FT2Font:
    return FT2Font(findfont(FONT))
