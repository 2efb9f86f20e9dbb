"""What every downstream task's settings have: which cells it is run for, and how often. No torch."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field

from bacon.settings.base import Strict

SELECTION = frozenset({"cells", "networks", "seeds"})
"""Keys that say which results there are, not what any of them is."""

_Values = TypeVar("_Values", bound=tuple[object, ...] | None)


def each_once(values: _Values) -> _Values:
    """A list of a task's settings, as a field validator: raises :class:`ValueError` where a value stands in it twice."""
    if values is not None and len(set(values)) != len(values):
        raise ValueError(f"{', '.join(map(str, values))}: list each value once")
    return values


class TaskSettings(Strict):
    """Which cells a downstream task is run for, and with how many networks."""

    cells: tuple[str, ...] = Field(
        (),
        description="Patterns of cells that it is run for, such as digits/*/ipc10/* or */full; empty: every cell of the grid, "
        "and the full data sets where the task takes them.",
    )
    networks: tuple[str, ...] = Field(
        (),
        description="Evaluation networks of the grid that it is run with, where it depends on the network; empty: all.",
    )
    seeds: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="n: its repetitions for each cell and network, with the networks of the first evaluation seeds where it "
        "tests those; null: as many as evaluation.seeds.",
    )
