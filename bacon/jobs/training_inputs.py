"""The networks trained on real sets that a job of a plan uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell
from bacon.settings.training_need import TrainingNeed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def trained_runs(
    plan: Plan, cell: Cell, need: TrainingNeed, *, order: npt.NDArray[np.int64] | None = None
) -> TrainedRuns:
    """The runs that meet a need of a cell, on the form of its data set that it uses.

    Args:
        plan: the plan.
        cell: of the plan, or one outside its grid.
        need: what is wanted.
        order: (N,) order of the training images whose history and soft labels are given; ``None``: as in the data set's file.

    Raises:
        BaconError: an index is missing or of another training.
    """
    training = plan.training_of(plan.data_name(cell), need)
    return TrainedRuns(
        need.key,
        [plan.directory / block.path for block in training.blocks_with(need.runs)],
        runs=need.runs,
        fingerprint=training.fingerprint,
        order=order,
    )
