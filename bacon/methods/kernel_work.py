"""What regression with a kernel costs, counted in passes of networks. No torch."""

from __future__ import annotations

import math

from bacon.methods.base import CellSize, Passes, Work
from bacon.settings.kernels import KernelSettings

_PAIRS = 5000
"""Pairs of 32x32 colour images whose kernel and its gradient cost about as much as one image's forward pass of ConvNet-3."""


def regression_work(settings: KernelSettings, size: CellSize, *, iterations: int, batch_real: int) -> Work:
    """Each iteration compares every stored image with the real ones; a kernel of features embeds them all first."""
    stored, real = size.ipc * size.classes, min(batch_real, size.train)
    passes = [Passes(kind="forward", images=math.ceil(stored * (real + stored) / _PAIRS))]
    if settings.kernel == "features":
        passes.append(Passes(kind="forward", images=real, count=settings.kernel_networks))
        passes.append(Passes(kind="image_gradient", images=stored, count=settings.kernel_networks))
    return Work(iterations=iterations, passes=tuple(passes))
