"""Make the grid of one distilled set's images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.expected import expected_distilled
from bacon.reporting.collect.nearest import ExpectedDataset
from bacon.reporting.figures.images import plot_images

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell


def make(plan: Plan, cell: Cell, *, fingerprint: str, outputs: Sequence[Path]) -> None:
    """Write the figure of ``cell``; refuses a distilled set or data set whose fingerprint is not the plan's."""
    real = ExpectedDataset(path=plan.directory / plan.data_path(cell), fingerprint=plan.cell_data_fingerprint(cell))
    plot_images(expected_distilled(plan, cell), fingerprint=fingerprint, outputs=outputs, real=real)
