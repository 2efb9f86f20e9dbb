"""What gradient matching computes per iteration, and the scales and published loops that its methods share. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bacon.methods.base import CellSize, Passes, Work
from bacon.settings.gradient_matching import PUBLISHED_LOOPS, GradientMatchingSettings

SMOKE = {"iterations": 3, "snapshot_interval": 2, "batch_real": 16, "outer": 2, "inner": 1}
DEMO = {"iterations": 60, "snapshot_interval": 20, "batch_real": 64, "outer": 2, "inner": 10}

SMALL_SETS = ("mnist", "fashionmnist", "svhn", "cifar10")


def gradient_work(settings: GradientMatchingSettings, size: CellSize) -> Work:
    """Per step: gradients of the real batch and of the synthetic images, these twice; between steps, training on the latter."""
    outer, inner = settings.loops(size.ipc)
    synthetic = size.ipc * size.classes
    epochs = (outer - 1) * inner
    batches = -(-synthetic // settings.batch_train)
    passes = [
        Passes(kind="training", images=size.real_batch(settings.batch_real), count=outer),
        Passes(kind="matching_gradient", images=synthetic, count=outer),
    ]
    if epochs:
        passes.append(Passes(kind="training", images=-(-synthetic // batches), count=epochs * batches))
    return Work(iterations=settings.iterations, passes=tuple(passes))


def published_loops(cells: Iterable[tuple[str, int]], **further: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """(Data set, IPC) -> the published numbers of steps and epochs, with ``further`` settings of the method."""
    return {(dataset, ipc): {"distillation": {**PUBLISHED_LOOPS[ipc]._asdict(), **further}} for dataset, ipc in cells}
