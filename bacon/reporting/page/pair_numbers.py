"""Differences of every pair of methods as the program of the page reads them: whole numbers, few characters.

``[[[difference, low, high, significant], [difference], null, ...], ...]``: for each group of rows the pairs (0, 1), (0, 2),
..., (1, 2), ... of methods by their numbers, each the first minus the second, in tenths of a point. ``significant`` is 1 or 0;
where there is no test the difference stands alone. ``null``: not compared. All pairs are stored, not the means of the seeds, so
that their statistics (Student's t, Holm) are computed in one place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import combinations

from bacon.reporting.collect.overview import Pair, Standings


def pair_numbers(groups: Sequence[Standings], methods: Sequence[str]) -> str:
    """JSON of every pair.

    Args:
        groups: by their numbers.
        methods: by their numbers.
    """
    pairs = list(combinations(methods, 2))
    numbers = [[_numbers(group.pair(*pair)) for pair in pairs] for group in groups]
    return json.dumps(numbers, separators=(",", ":"))


def _numbers(pair: Pair | None) -> list[int] | None:
    if pair is None:
        return None
    if math.isnan(pair.p):
        return [tenths(pair.difference)]
    return [*(tenths(value) for value in (pair.difference, pair.ci_low, pair.ci_high)), int(pair.significant)]


def tenths(value: float) -> int:
    """A number in tenths, rounded as it is printed."""
    return round(10 * float(f"{value:.1f}"))


def pair_text(pair: Pair) -> str:
    """``+3.1 [+2.0, +4.2]*``: points, 95 % interval, and * where it is significant; the program of the page writes the same."""
    interval = "" if math.isnan(pair.p) else f" [{_signed(pair.ci_low)}, {_signed(pair.ci_high)}]"
    return f"{_signed(pair.difference)}{interval}{'*' if pair.significant else ''}"


def _signed(value: float) -> str:
    number = tenths(value)
    return f"{number / 10:+.1f}" if number else "0.0"
