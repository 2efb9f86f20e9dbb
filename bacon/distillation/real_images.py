"""The real training set: uint8 until used, sorted by class, sampled per class without host work.

It is on the device, or on the host where it would take too much of the device's memory: batches are then gathered there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bacon.runtime.draws import Seed, device_words
from bacon.runtime.host_rows import HostPlaces, HostRows, Placement, stays_on_host
from bacon.transforms import normalised_gpu
from bacon.transforms.whitener import Whitener

if TYPE_CHECKING:
    from bacon.datasets.store import ImageDataset

_POSITION_BITS = 24
# Keys made at a time, 32 MiB of int64 and some copies: 100 batches from TinyImageNet's images are 10 million.
_KEYS_AT_ONCE = 2**22


def draw_without_replacement(
    seed: Seed, purpose: str, *, iteration: int | Tensor, lanes: Tensor, populations: Tensor, largest: int, size: int
) -> Tensor:
    """Distinct positions per lane, uniformly: the positions of the ``size`` smallest of one random key per position.

    Args:
        seed: seed of the stream.
        purpose: name of the stream.
        iteration: iteration the draw belongs to; a 0-d int64 tensor on the device where the draw is recorded.
        lanes: (L,) int64, what each row is keyed by, such as the class.
        populations: (L,) int64, row l draws from ``range(populations[l])``; at least ``size``, below 2^24.
        largest: the largest of ``populations``, which the host must know without asking the device.
        size: positions per row.

    Returns:
        (L, size) int64.
    """
    rows = max(1, _KEYS_AT_ONCE // largest)
    drawn = []
    for some, limits in zip(lanes.split(rows), populations.split(rows), strict=True):
        words = device_words(seed, purpose, count=largest, device=lanes.device, iteration=iteration, lanes=some)
        positions = torch.arange(largest, device=lanes.device)
        # The position makes equal words unequal, so the choice is the same on every device.
        keys = (words << _POSITION_BITS) | positions
        keys = keys.masked_fill_(positions >= limits[:, None], torch.iinfo(torch.int64).max)
        drawn.append(keys.topk(size, dim=1, largest=False, sorted=True).indices)
    return torch.cat(drawn)


class RealImages:
    """Training images of a data set, for one device.

    Args:
        dataset: the preprocessed data set.
        device: where batches are made, and where the images are unless they stay on the host.
        dtype: floating dtype of normalised batches.
        placement: where the images are kept (``run.real_images``); it changes no draw and no bit of a batch.

    Attributes:
        images: (N, C, H, W) uint8, sorted by class.
        is_streamed: whether they are on the host, so that the host takes part in every batch and none can be recorded.
        labels: (N,) int64, ascending.
        counts: images of each class, on the host.
        pixel_mean: (C, 1, 1) in ``dtype``, what is taken from pixels in [0, 1].
        pixel_std: (C, 1, 1) in ``dtype``, what they are divided by then.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        placement: Placement = "auto",
    ) -> None:
        images, labels = dataset.train_images, dataset.train_labels
        if np.any(labels[1:] < labels[:-1]):
            order = np.argsort(labels, kind="stable")
            images, labels = images[order], labels[order]
        self.is_streamed = stays_on_host(placement, images.nbytes, device, name="the training images")
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels).to(device)
        if not self.is_streamed:
            self.images = self.images.to(device)
        self._rows = HostRows(self.images, device) if self.is_streamed else None
        self._places = HostPlaces(device) if self.is_streamed else None
        self.device, self.dtype = device, dtype
        self.class_names = dataset.class_names
        self.counts = tuple(int(n) for n in np.bincount(dataset.train_labels, minlength=len(dataset.class_names)))
        self._offsets = torch.tensor(np.cumsum([0, *self.counts[:-1]]), device=device)
        self._counts = torch.tensor(self.counts, device=device)
        self._indices: dict[tuple[int, ...], Tensor] = {}
        mean = torch.tensor(dataset.mean, dtype=torch.float64)[:, None, None]
        std = torch.tensor(dataset.std, dtype=torch.float64)[:, None, None]
        self._scale = (1 / (255 * std)).to(device, dtype)
        self._shift = (-mean / std).to(device, dtype)
        self.pixel_mean, self.pixel_std = mean.to(device, dtype), std.to(device, dtype)
        whitening = dataset.whitening
        self._whitener = Whitener(whitening, device=device, dtype=dtype) if whitening is not None else None

    @property
    def is_whitened(self) -> bool:
        """Whether batches are whitened, so that ``pixel_mean`` and ``pixel_std`` do not lead back to pixels."""
        return self._whitener is not None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.counts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def index(self, classes: Sequence[int]) -> Tensor:
        """``classes`` as an index (K,) int64 on the device; made once, for a copy from the host waits for the device."""
        key = tuple(classes)
        if key not in self._indices:
            self._indices[key] = torch.tensor(key, dtype=torch.int64, device=self.device)
        return self._indices[key]

    def batch(self, indices: Tensor) -> Tensor:
        """Normalised (or whitened) images at ``indices`` (...,) int64: (..., C, H, W) in ``dtype``."""
        stored: Tensor = self.images
        places: Tensor | None = indices.flatten()
        if self._rows is not None and self._places is not None:
            stored, places = self._rows.at(self._places.on_host(indices).flatten()), None
        if self._whitener is None and normalised_gpu.takes_kernel(stored, self.dtype):
            made = normalised_gpu.normalised(stored, places, self._scale, self._shift)
            return made.view(*indices.shape, *self.shape)
        # Not `images[indices]`, which gathers many times slower on a CPU (docs/speed.md).
        gathered = stored if places is None else stored.index_select(0, places)
        images = gathered.view(*indices.shape, *self.shape)
        if self._whitener is not None:
            return self._whitener(images)
        return images.to(self.dtype).mul_(self._scale).add_(self._shift)

    def _drawn(self, draw: Callable[[], Tensor]) -> Tensor:
        return draw() if self._places is None else self._places.drawn(draw)

    def sample_classes(
        self, seed: Seed, purpose: str, *, iteration: int | Tensor, classes: Sequence[int], size: int
    ) -> Tensor:
        """Indices of ``size`` distinct images of each of the K ``classes``: (K, size) int64."""
        lanes, largest = self.index(classes), max(self.counts[label] for label in classes)

        def draw() -> Tensor:
            positions = draw_without_replacement(
                seed,
                purpose,
                iteration=iteration,
                lanes=lanes,
                populations=self._counts[lanes],
                largest=largest,
                size=size,
            )
            return positions + self._offsets[lanes, None]

        return self._drawn(draw)

    def sample_all(
        self,
        seed: Seed,
        purpose: str,
        *,
        iteration: int | Tensor,
        lanes: int,
        size: int,
        first_lane: int | Tensor = 0,
    ) -> Tensor:
        """Indices of ``size`` distinct images of the whole set for each of L lanes from ``first_lane`` on: (L, size) int64."""
        largest = len(self.labels)

        def draw() -> Tensor:
            lane_tensor = torch.arange(lanes, device=self.device) + first_lane
            return draw_without_replacement(
                seed,
                purpose,
                iteration=iteration,
                lanes=lane_tensor,
                populations=torch.full_like(lane_tensor, largest),
                largest=largest,
                size=size,
            )

        return self._drawn(draw)
