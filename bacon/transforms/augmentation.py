"""What the families of augmentation have in common: consecutive batches at once, and random numbers for each image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_uniform, uniform


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Where the random numbers of consecutive batches come from, and what their images were normalised with.

    Attributes:
        seed: seed, or tuple of seeds, of the draws.
        purpose: first part of the names of the streams.
        first_iteration: number of the first batch.
        mean: (C, 1, 1) float32 that pixels in [0, 1] were normalised with; ``None``: unknown, or whitened.
        std: (C, 1, 1) float32, the standard deviation; ``None`` as for ``mean``.
    """

    seed: Seed
    purpose: str
    first_iteration: int
    mean: Tensor | None = None
    std: Tensor | None = None

    def per_batch(self, name: str, sizes: Sequence[int], count: int = 1) -> npt.NDArray[np.float64]:
        """(batches, count) numbers in [0, 1) on the host, ``count`` for each batch."""
        lanes = np.arange(self.first_iteration, self.first_iteration + len(sizes))
        return uniform(self.seed, f"{self.purpose}-{name}", count=count, lanes=lanes)

    def per_image(self, name: str, sizes: Sequence[int], count: int, images: Tensor) -> Tensor:
        """(sum(sizes), count) numbers in [0, 1), ``count`` for each image, on the device and in the dtype of ``images``."""
        lanes = torch.arange(self.first_iteration, self.first_iteration + len(sizes), device=images.device)
        drawn = device_uniform(
            self.seed,
            f"{self.purpose}-{name}",
            count=count * max(sizes),
            lanes=lanes,
            device=images.device,
            dtype=images.dtype,
        ).view(len(sizes), -1, count)
        return torch.cat([drawn[batches, :size].flatten(0, 1) for batches, size in equal_batches(sizes)])


BatchAugmentation = Callable[[Tensor, Sequence[int], Stream], Tensor]
"""Augments consecutive batches, (sum(sizes), C, H, W) float, normalised; the same shape comes back."""


def equal_batches(sizes: Sequence[int]) -> Iterator[tuple[slice, int]]:
    """Consecutive batches of one size: which ones, and the size; a GPU is asked once for all of them."""
    first = 0
    for size, group in groupby(sizes):
        count = len(list(group))
        yield slice(first, first + count), size
        first += count


def integers(number: Tensor, count: int | Tensor) -> Tensor:
    """Integers uniform over 0..count-1 from multiples of 2^-24 in [0, 1), in exact arithmetic: every dtype agrees."""
    return ((number * 2**24).long() * count) >> 24


def sent(values: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A few ``values`` from the host, or from the device, on the device and in ``dtype`` (``None``: theirs), without waiting.

    Raises:
        RuntimeError: a CUDA graph is being recorded, which would replay the values of now.
    """
    values = values.to(dtype) if dtype is not None else values
    if device.type == "cuda" and values.device.type == "cpu":
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError("its augmentation is drawn on the host")
        # From memory that is not page-locked, a copy of more than 64 KiB waits for the work before it.
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def choices(names: Sequence[str], drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """The name that each number in [0, 1) stands for."""
    return np.array(names, dtype=object)[(drawn * len(names)).astype(np.int64)]
