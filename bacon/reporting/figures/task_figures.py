"""The figures of downstream tasks, for those that have one: what draws each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bacon.reporting.figures.canvas import FigurePage
from bacon.reporting.figures.reliability import reliability_figure
from bacon.reporting.figures.robustness_figures import corruptions_figure, robustness_figure

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

TASK_FIGURES: Mapping[str, Callable[[Plan], FigurePage]] = {
    "robustness": robustness_figure,
    "corruptions": corruptions_figure,
    "calibration": reliability_figure,
}
"""Name of a task whose record has a ``figure`` -> what draws it."""
