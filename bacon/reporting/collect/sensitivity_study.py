"""Which variants of a plan show the sensitivity of a method to one number. No torch; Snakemake asks while it parses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bacon.config.setting_errors import flatten

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell

Settings = dict[tuple[str, ...], Any]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method or variant on the axis of one setting, of one data set and IPC."""

    dataset: str
    ipc: int
    base: str
    """The method that is varied."""
    base_title: str
    key: str
    """The setting, dotted: ``distillation.objective.lambda``."""
    method: str
    """Name of the variant, or of the method itself."""
    value: float


def sensitivity_points(plan: Plan) -> list[Point]:
    """Every point of every setting in which variants differ, one setting at a time, from their method in the grid.

    A variant that differs from its method in several settings, or in one that is no number, is left out: it says
    nothing of a single setting. A method that is not in the grid itself has no reference and is left out too.
    """
    first: dict[tuple[str, int, str], Cell] = {}
    for cell in plan.cells:
        if cell.ipc is not None:
            first.setdefault((cell.dataset, cell.ipc, cell.method), cell)
    points: dict[Point, None] = {}
    for (dataset, ipc, method), cell in first.items():
        base = plan.config.base_method(method)
        reference = first.get((dataset, ipc, base))
        if method == base or reference is None:
            continue
        own, other = _settings(plan, cell), _settings(plan, reference)
        changed = [key for key in own.keys() | other.keys() if own.get(key) != other.get(key)]
        if len(changed) != 1 or not all(_is_number(side.get(changed[0])) for side in (own, other)):
            continue
        for name, side in ((base, other), (method, own)):
            points[
                Point(
                    dataset=dataset,
                    ipc=ipc,
                    base=base,
                    base_title=plan.method_title(base),
                    key=".".join(changed[0]),
                    method=name,
                    value=float(side[changed[0]]),
                )
            ] = None
    return list(points)


def _settings(plan: Plan, cell: Cell) -> Settings:
    return dict(flatten(plan.settings(cell).model_dump(mode="json", by_alias=True)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
