"""The features of each iteration's real images, in pieces that the memory has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.chunks import ClassChunk, consecutive_chunks
from bacon.distillation.class_draws import ClassDraws
from bacon.distillation.matching.features import features_of, joined
from bacon.distillation.matching.matching_losses import MatchingLoss, RealPiece
from bacon.distillation.siamese import Siamese
from bacon.networks.network import Network

# First maps of a piece, per thread: what a core's cache holds.
_CACHE_BYTES = 8 * 2**20


class RealFeatures:
    """What a loss reads of the real images.

    Args:
        context: the real images, and how many of them memory holds.
        loss: what is read, and whether it needs all classes together.
        siamese: the augmentation of some classes in an iteration.
        batch_real: images of each class and iteration, at most all of them.
        mixes_images: whether the networks mix the images of a batch, so that all classes are one batch.
        draws: those of the step.
    """

    def __init__(
        self,
        context: Context,
        loss: MatchingLoss[Any],
        siamese: Callable[[int, Sequence[int]], Siamese],
        *,
        batch_real: int,
        mixes_images: bool,
        draws: ClassDraws,
    ) -> None:
        self._context, self._real, self._loss, self._siamese = context, context.real, loss, siamese
        self._batch_real, self._mixes_images, self._draws = batch_real, mixes_images, draws
        # Batch of a class -> the classes that have one as large: those that a draw can be made for at once.
        self._alike: dict[int, list[int]] = {}
        for label, count in enumerate(self._real.counts):
            self._alike.setdefault(min(batch_real, count), []).append(label)

    def pieces(self, chunk: ClassChunk, iteration: int, network: Network) -> Iterator[RealPiece]:
        """The features of a chunk's real images; class by class unless they come in one piece."""
        if self._mixes_images:
            yield from self._mixed(iteration, network)
        elif self._loss.couples_classes:
            for part in self._all_classes():
                yield from self._small(part, part.classes[0], iteration, network)
        elif "stages" in self._loss.reads:
            yield from self._small(chunk, 0, iteration, network)
        else:
            yield self._whole(chunk, iteration, network)

    def _all_classes(self) -> list[ClassChunk]:
        return consecutive_chunks(self._real.counts, batch_real=self._batch_real, limit=self._limit())

    def _whole(self, chunk: ClassChunk, iteration: int, network: Network) -> RealPiece:
        """The features of a chunk in one piece, embedded a few images at a time."""
        indices, siamese = self._batch(chunk, iteration), self._siamese(iteration, chunk.classes)
        pieces = (piece for part in self._augmented(indices, siamese) for piece in part.split(self._at_once()))
        features = joined([features_of(network, piece, self._loss.reads) for piece in pieces])
        return RealPiece(places=slice(0, len(indices)), features=features.by_class(indices.shape[1]))

    def _small(self, chunk: ClassChunk, first: int, iteration: int, network: Network) -> Iterator[RealPiece]:
        """The features of a chunk a few images at a time; ``first`` is the place of its first class."""
        indices, at_once = self._batch(chunk, iteration), self._at_once()
        together = max(1, at_once // indices.shape[1])
        for start in range(0, len(indices), together):
            classes = chunk.classes[start : start + together]
            siamese = self._siamese(iteration, classes)
            for some in indices[start : start + together].split(max(1, at_once // len(classes)), dim=1):
                images = siamese(self._real.batch(some)).flatten(0, 1)
                features = features_of(network, images, self._loss.reads).by_class(some.shape[1])
                yield RealPiece(places=slice(first + start, first + start + len(classes)), features=features)

    def _mixed(self, iteration: int, network: Network) -> Iterator[RealPiece]:
        """The features of all classes' images, embedded as one batch."""
        parts, batches = self._all_classes(), []
        for part in parts:
            images = self._real.batch(self._batch(part, iteration))
            batches.append(self._siamese(iteration, part.classes)(images).flatten(0, 1))
        features = features_of(network, torch.cat(batches), self._loss.reads)
        start = 0
        for part, batch in zip(parts, batches, strict=True):
            own = features.each(partial(torch.narrow, dim=0, start=start, length=len(batch)))
            yield RealPiece(places=slice(part.classes[0], part.classes[-1] + 1), features=own.by_class(part.batch_real))
            start += len(batch)

    def _batch(self, chunk: ClassChunk, iteration: int) -> Tensor:
        """Indices (K, B) of the real images of an iteration."""
        seed, size = self._context.seed, chunk.batch_real

        def draw(classes: Sequence[int]) -> Tensor:
            return self._real.sample_classes(seed, "real-batch", iteration=iteration, classes=classes, size=size)

        return self._draws.of(("real-batch", size), iteration, chunk.classes, draw, among=self._alike[size])

    def _limit(self) -> int:
        return self._context.memory.images(self._real.shape)

    def _at_once(self) -> int:
        """Images embedded at a time without a gradient: on the CPU as many as its cache holds first maps of."""
        if self._real.device.type != "cpu":
            return self._limit()
        _, height, width = self._real.shape
        map_bytes = self._context.network.width * height * width * self._real.dtype.itemsize
        return min(self._limit(), max(1, torch.get_num_threads() * _CACHE_BYTES // map_bytes))

    def _augmented(self, indices: Tensor, siamese: Siamese) -> Iterator[Tensor]:
        """The real images at ``indices`` (K, B), normalised and augmented, in pieces that memory has room for."""
        per_class = max(1, self._limit() // len(indices))
        if per_class >= indices.shape[1]:
            yield siamese(self._real.batch(indices)).flatten(0, 1)
            return
        # One class exceeds the limit on its own; chunks of several classes never do.
        for piece in indices.split(per_class, dim=1):
            yield siamese(self._real.batch(piece)).flatten(0, 1)
