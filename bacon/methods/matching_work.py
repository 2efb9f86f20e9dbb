"""What methods that match real and synthetic images compute in an iteration, for the cost model. No torch."""

from __future__ import annotations

from typing import Protocol

from bacon.methods.base import CellSize, Passes, Work
from bacon.settings.pools import FreshNetworks, NetworkQueue, WeightedQueue


class MatchedImages(Protocol):
    """Settings of a method that matches real with synthetic images."""

    @property
    def iterations(self) -> int:
        """Distillation iterations."""

    @property
    def batch_real(self) -> int:
        """Real images per class and iteration."""

    def parts(self) -> int:
        """Training images that a stored image decodes to."""


class MatchedInAPool(MatchedImages, Protocol):
    """In networks of a queue, or fresh ones."""

    @property
    def networks(self) -> FreshNetworks | WeightedQueue:
        """Where the networks come from."""


def image_passes(settings: MatchedImages, size: CellSize) -> tuple[Passes, ...]:
    """Embed the real batch, and the synthetic images with their gradient."""
    return (
        Passes(kind="forward", images=size.real_batch(settings.batch_real)),
        Passes(kind="image_gradient", images=size.ipc * settings.parts() * size.classes),
    )


def image_work(settings: MatchedImages, size: CellSize) -> Work:
    """Per iteration: :func:`image_passes`."""
    return Work(iterations=settings.iterations, passes=image_passes(settings, size))


def matching_work(settings: MatchedInAPool, size: CellSize) -> Work:
    """Per iteration: :func:`image_passes`, and train networks of the queue."""
    passes = image_passes(settings, size)
    if isinstance(settings.networks, NetworkQueue):
        queue = settings.networks
        steps = queue.networks_trained * queue.model_train_steps
        passes += (Passes(kind="training", images=min(queue.batch_train, size.train), count=steps),)
    return Work(iterations=settings.iterations, passes=passes)
