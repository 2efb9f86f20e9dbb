"""MTT: trajectory matching with hard labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.distillation.algorithm import Context
from bacon.distillation.initialisation import first_images
from bacon.distillation.trajectory_matching import TrajectoryMatching
from bacon.distillation.variables import Variables

if TYPE_CHECKING:
    from bacon.methods.mtt.record import MTTSettings


class MTT(TrajectoryMatching):
    """Images of fixed classes, and the student's rate."""

    def __init__(self, settings: MTTSettings, context: Context) -> None:
        self._init = settings.init
        super().__init__(settings, context)

    def initial_variables(self) -> Variables:
        """Real images or noise, and the rate."""
        context = self.context
        images = first_images(context.real, init=self._init, ipc=context.ipc, seed=context.seed)
        return Variables(classes=context.classes, images=self.image_variable(images), rates=self.rate_variable())
