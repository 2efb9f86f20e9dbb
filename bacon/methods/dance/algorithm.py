"""DANCE: the squared distance of mean embeddings, and SGD on pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.class_turns import MomentumTurn
from bacon.distillation.matching.calibrated_matching import CalibratedMatching
from bacon.distillation.matching.mean_matching import MeanMatching

if TYPE_CHECKING:
    from bacon.methods.dance.record import DanceSettings


class Dance(CalibratedMatching):
    """Mean matching with calibration."""

    settings: DanceSettings
    recordable: ClassVar[bool] = True

    def __init__(self, settings: DanceSettings, context: Context) -> None:
        super().__init__(settings, context, loss=MeanMatching())

    def make_turn(self, pixels: Tensor) -> MomentumTurn:
        """SGD whose learning rate grows with the IPC, over which a class's gradient is spread."""
        rate = self.settings.lr_img * self.context.ipc
        return MomentumTurn(pixels, rate=rate, momentum=self.settings.momentum)
