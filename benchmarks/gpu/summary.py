"""Every figure beside its target, what was predicted of it, and what it was before."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures.csv")
"""One row for each figure: its name, which way is better, its target, the prediction, what it was; docs/speed.md says why."""


@dataclass(frozen=True)
class Expected:
    """What is known of a figure beforehand.

    Attributes:
        part: that measures it.
        better: ``lower`` or ``higher``.
        target: ``None``: it has none.
        predicted: ``None``: nothing was.
        before: measured earlier, on an H200; ``None``: it was not.
    """

    part: str
    better: str
    target: float | None
    predicted: float | None
    before: float | None


@dataclass(frozen=True)
class Line:
    """A figure in the summary.

    Attributes:
        name: of the figure.
        measured: ``None``: it was not.
        expected: ``None``: there is nothing to compare it with.
    """

    name: str
    measured: float | None
    expected: Expected | None

    @property
    def verdict(self) -> str:
        """``pass``, ``MISS``, ``not measured``, or nothing where there is no target."""
        if self.measured is None:
            return "not measured"
        if self.expected is None or self.expected.target is None:
            return ""
        target = self.expected.target
        good = self.measured <= target if self.expected.better == "lower" else self.measured >= target
        return "pass" if good else "MISS"

    def texts(self) -> tuple[str, ...]:
        """The line for people: name, measured, target, verdict, predicted, measured over predicted, before."""
        found = self.expected
        if found is None:
            return (self.name, _text(self.measured), "", self.verdict, "", "", "")
        sign = "<= " if found.better == "lower" else ">= "
        over = self.measured / found.predicted if self.measured is not None and found.predicted else None
        target = "" if found.target is None else sign + _text(found.target)
        return (
            self.name,
            _text(self.measured),
            target,
            self.verdict,
            _text(found.predicted),
            _text(over),
            _text(found.before),
        )

    def plain(self) -> dict[str, Any]:
        """The line as JSON."""
        known = {} if self.expected is None else vars(self.expected)
        return {"figure": self.name, "measured": self.measured, **known, "verdict": self.verdict}


COLUMNS = ("figure", "measured", "target", "", "predicted", "measured / predicted", "before")


def expectations(path: Path = FIGURES) -> dict[str, Expected]:
    """The rows of ``figures.csv`` by the figure's name."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["figure"]: Expected(
            row["part"], row["better"], *(_number(row[key]) for key in ("target", "predicted", "before"))
        )
        for row in rows
    }


def summary(
    figures: Mapping[str, float], parts: Sequence[str], known: Mapping[str, Expected], *, expected: bool = True
) -> list[Line]:
    """The lines of all that is expected of ``parts``, then of what else was measured.

    Args:
        figures: what was measured.
        parts: that were asked for.
        known: from :func:`expectations`.
        expected: whether figures that were not measured have lines; at a reduced scale none of them is.
    """
    lines = [
        Line(name, figures.get(name), about)
        for name, about in known.items()
        if about.part in parts and (expected or name in figures)
    ]
    return lines + [Line(name, value, None) for name, value in figures.items() if name not in known]


def _number(text: str) -> float | None:
    return float(text) if text else None


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
