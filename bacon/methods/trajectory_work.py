"""What matching trajectories needs and costs, for the records of methods. No torch."""

from __future__ import annotations

from bacon.methods.base import CellSize, Passes, Work
from bacon.settings.cell_settings import CellSettings
from bacon.settings.experts import expert_need
from bacon.settings.training_need import TrainingNeed
from bacon.settings.trajectories import TrajectorySettings

STEP_PASSES = {False: 3, True: 5}
"""What a step through which a gradient goes costs in passes of a training step: forward and backward, and both of these
differentiated; in constant memory (``True``) the step is taken up to three times."""


def experts_needed(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """The experts, in the architecture that the cell is distilled with."""
    own = settings.distillation
    assert isinstance(own, TrajectorySettings), "a method that matches trajectories has their settings"
    return (expert_need(own.experts, settings.network, dsa_strategy=own.dsa_strategy),)


def trajectory_work(settings: TrajectorySettings, size: CellSize) -> Work:
    """Per iteration: N steps of the student, differentiated twice."""
    images = size.ipc * settings.parts() * size.classes
    each = STEP_PASSES[settings.constant_memory]
    batch = min(images, settings.batch_syn or images)
    passes = (Passes(kind="training", images=batch, count=settings.student_steps * each),)
    waiting = settings.student_steps if settings.constant_memory else 0
    return Work(iterations=settings.iterations, passes=passes, host_weights=waiting)
