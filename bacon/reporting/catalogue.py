"""Which figures a grid has, known from its plan alone: name, title, files, or the reason why one is left out.

A figure that needs more than the grid holds (several evaluation networks, iterations) is left out with the reason, never drawn
empty. Snakemake asks here while it parses, so nothing here imports what draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.cells import FIGURES

if TYPE_CHECKING:
    from bacon.plan import Plan

KINDS = ("png", "pdf", "json")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure of the grid and its files."""

    name: str
    """Stem of its files under ``results/figures``."""
    topic: str
    """Name of its kind: of the caption file in ``workflow/report`` and of the function that draws it."""
    title: str
    kinds: tuple[str, ...] = KINDS
    """Suffixes of its files: pictures, and ``json`` with title and caption."""
    dataset: str | None = None
    """The data set it shows; ``None``: all of the grid, as for ``ipc``."""
    ipc: int | None = None

    def path(self, kind: str) -> Path:
        """One of its files, relative to the working directory."""
        return Path(FIGURES) / f"{self.name}.{kind}"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A figure that this grid does not have, and why."""

    topic: str
    title: str
    reason: str


Found = Sequence[Drawn] | LeftOut


def drawn(plan: Plan) -> tuple[Drawn, ...]:
    """The figures of the whole grid, in the order of a report."""
    return tuple(figure for found in _found(plan) if not isinstance(found, LeftOut) for figure in found)


def left_out(plan: Plan) -> tuple[LeftOut, ...]:
    """The figures that the grid is too small for, with the reason."""
    return tuple(found for found in _found(plan) if isinstance(found, LeftOut))


def _found(plan: Plan) -> list[Found]:
    return [_one(topic, title, reason(plan)) for topic, title, reason in _TOPICS]


def _one(topic: str, title: str, reason: str | None) -> Found:
    if reason is not None:
        return LeftOut(topic=topic, title=title, reason=reason)
    return (Drawn(name=topic, topic=topic, title=title),)


def _always(_: Plan) -> str | None:
    return None


_TOPICS: tuple[tuple[str, str, Callable[[Plan], str | None]], ...] = (
    ("accuracy", "Accuracy by method and images per class", _always),
    ("curve", "Accuracy against distillation iterations", _always),
    ("loss", "Loss terms during distillation", _always),
)
