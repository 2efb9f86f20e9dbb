"""Random coreset: the images that distillation with the same seed and partition would start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from bacon.distillation.algorithm import Context, Selection
from bacon.distillation.initialisation import real_images

if TYPE_CHECKING:
    from bacon.settings.distillation import SelectionSettings


class Random(Selection):
    """Random real images of each class, without replacement."""

    def __init__(self, settings: SelectionSettings, context: Context) -> None:
        super().__init__(context, partition=settings.partition)

    def select(self) -> Tensor:
        """(classes * ipc, C, H, W) normalised, in class order."""
        context = self.context
        return real_images(context.real, ipc=context.ipc, partition=self.partition, seed=context.seed)
