"""Random coreset: the images that distillation with the same seed and partition would start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from bacon.distillation.initialisation import real_images
from bacon.distillation.real_images import RealImages

if TYPE_CHECKING:
    from bacon.settings.distillation import SelectionSettings


def select(real: RealImages, settings: SelectionSettings, *, ipc: int, seed: int) -> Tensor:
    """Random real images of each class, without replacement: (classes * ipc, C, H, W) normalised, in class order."""
    return real_images(real, ipc=ipc, partition=settings.partition, seed=seed)
