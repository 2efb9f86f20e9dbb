"""Every downstream task, in the order of the report: one line each."""

from __future__ import annotations

from bacon.downstream.base import Task
from bacon.downstream.calibration.record import CALIBRATION
from bacon.downstream.corruptions.record import CORRUPTIONS
from bacon.downstream.robustness.record import ROBUSTNESS

OWN_TASKS: tuple[Task, ...] = (ROBUSTNESS, CORRUPTIONS, CALIBRATION)

TASKS: dict[str, Task] = {task.name: task for task in OWN_TASKS}
