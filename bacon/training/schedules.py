"""Learning rates over a training, in units of epochs or of steps. Plain numbers, no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bacon.settings.recipe import ScheduleSettings, WarmupCosine

_ROUNDING = 1e-9  # shares such as 5/6 are no binary fractions


def drop_unit(units: int) -> int:
    """The 0-based unit after which the rate of the schedule ``drop`` falls: (E - 1) // 2 + 1 of E."""
    return (units - 1) // 2 + 1


def rate(schedule: ScheduleSettings, base: float, unit: int, units: int) -> float:
    """The learning rate of a unit (epoch or step).

    Args:
        schedule: how the rate changes.
        base: the rate at the start.
        unit: 0-based.
        units: of the whole training.
    """
    if schedule.kind == "constant":
        return base
    if schedule.kind == "drop":
        return base * schedule.factor if unit > drop_unit(units) else base
    if schedule.kind == "multistep":
        passed = sum(unit >= math.floor(share * units + _ROUNDING) for share in schedule.milestones)
        return base * schedule.factor**passed
    if schedule.kind == "warmup_cosine":
        return base * _warmup_cosine(schedule, unit, units)
    period = units if schedule.kind == "cosine" else 2 * units
    return base * (1 + math.cos(math.pi * unit / period)) / 2


def _warmup_cosine(schedule: WarmupCosine, unit: int, units: int) -> float:
    """Share of the rate; a training of less than twice the warm-up spends half of itself on it."""
    warmup = min(schedule.warmup, units // 2)
    if unit < warmup:
        return unit / warmup
    cosine = (1 + math.cos(math.pi * (unit - warmup) / (units - warmup))) / 2
    return schedule.last + (1 - schedule.last) * cosine


def forgets_momentum(schedule: ScheduleSettings, unit: int, units: int) -> bool:
    """Whether a new optimiser begins with ``unit``: the published code of the schedule ``drop`` builds one."""
    return schedule.kind == "drop" and unit == drop_unit(units) + 1
