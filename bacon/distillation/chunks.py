"""Which classes are computed together, so that memory holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassChunk:
    """Classes that are computed together; all take the same number of real images."""

    classes: tuple[int, ...]
    batch_real: int


def class_chunks(counts: Sequence[int], *, batch_real: int, synthetic: int, limit: int) -> list[ClassChunk]:
    """Split the classes so that a chunk holds at most ``limit`` real and at most ``limit`` synthetic images.

    Args:
        counts: training images of each class.
        batch_real: real images per class, at most all of a class.
        synthetic: decoded synthetic images per class.
        limit: images per chunk; a chunk holds at least one class.
    """
    by_size: dict[int, list[int]] = {}
    for label, count in enumerate(counts):
        by_size.setdefault(min(batch_real, count), []).append(label)
    chunks = []
    for size, members in by_size.items():
        together = max(1, limit // max(size, synthetic))
        starts = range(0, len(members), together)
        chunks += [ClassChunk(tuple(members[start : start + together]), size) for start in starts]
    return chunks
