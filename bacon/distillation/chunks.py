"""Which images are computed together, so that memory holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from bacon.runtime.logs import get_logger

log = get_logger(__name__)

_USUAL_PIXELS = 32 * 32

Result = TypeVar("Result")


@dataclass(frozen=True)
class ClassChunk:
    """Classes that are computed together; all take the same number of real images."""

    classes: tuple[int, ...]
    batch_real: int


def as_slice(places: Sequence[int]) -> slice | None:
    """The slice that ``places`` are, where each follows the one before: a view costs a GPU nothing, an index a copy."""
    first, stop = places[0], places[0] + len(places)
    return slice(first, stop) if tuple(places) == tuple(range(first, stop)) else None


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


def consecutive_chunks(counts: Sequence[int], *, batch_real: int, limit: int) -> list[ClassChunk]:
    """All classes in their order: neighbours with equal batches together, at most ``limit`` real images, at least one class."""
    chunks: list[ClassChunk] = []
    for label, count in enumerate(counts):
        size = min(batch_real, count)
        last = chunks[-1] if chunks else None
        if last is not None and last.batch_real == size and (len(last.classes) + 1) * size <= limit:
            chunks[-1] = ClassChunk((*last.classes, label), size)
        else:
            chunks.append(ClassChunk((label,), size))
    return chunks


def joined_chunks(chunks: Sequence[ClassChunk], *, synthetic: int, limit: int) -> list[list[ClassChunk]]:
    """Neighbouring chunks together, with at most ``limit`` of ``synthetic`` images of each class, or one chunk."""
    together: list[list[ClassChunk]] = []
    count = 0
    for chunk in chunks:
        images = len(chunk.classes) * synthetic
        if together and count + images <= limit:
            together[-1].append(chunk)
            count += images
        else:
            together.append([chunk])
            count = images
    return together


@dataclass
class MemoryLimit:
    """How many images are computed at a time; halved where the device's memory does not suffice.

    Attributes:
        chunk_images: of 32x32 pixels (`run.chunk_images`); of larger ones fewer, for the same memory.
        make_way: gives up what others take of the memory, and says whether there was anything; asked before all else.
    """

    chunk_images: int = 2048
    make_way: Callable[[], bool] = lambda: False

    def images(self, shape: tuple[int, int, int]) -> int:
        """Images (C, H, W) to compute at a time, at least one."""
        pixels = shape[1] * shape[2]
        return max(1, self.chunk_images * _USUAL_PIXELS // max(pixels, _USUAL_PIXELS))

    def within(
        self,
        compute: Callable[[], Result],
        *,
        iteration: int,
        device: torch.device,
        make_room: Callable[[], bool] = lambda: False,
    ) -> Result:
        """What ``compute`` returns; if the device runs out of memory, again with half the images at a time.

        Args:
            compute: asks :meth:`images` whenever it is called, and changes nothing before it has succeeded.
            iteration: for the log.
            device: its cached memory is given back before the second try.
            make_room: gives up what only saves time, and says whether there was anything: then the images stay as many.

        Raises:
            torch.OutOfMemoryError: the second time after all is given up, or with one image at a time.
        """
        try:
            return compute()
        except torch.OutOfMemoryError:
            pass
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        if self.make_way():
            return self.within(compute, iteration=iteration, device=device, make_room=make_room)
        if make_room():
            return self.within(compute, iteration=iteration, device=device)
        self._halve(iteration)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        return compute()

    def _halve(self, iteration: int) -> None:
        if self.chunk_images == 1:
            raise torch.OutOfMemoryError(f"iteration {iteration}: out of device memory with one image at a time")
        self.chunk_images //= 2
        log.warning(
            "iteration %d: out of device memory; run.chunk_images is now %d for the rest of this job",
            iteration,
            self.chunk_images,
        )
