"""Embedding matching: bring synthetic to real embeddings, all classes in one step (docs/algorithms.md).

A toolkit for methods: a method chooses the loss, the pool of networks and further terms. The published code takes one momentum
step per class over the whole tensor. The network is frozen and its norm has no batch dependence, so the classes' gradients are
independent of each other, and the loop over classes equals one step with the recurrence in
:func:`bacon.distillation.variables.image_step`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.chunks import ClassChunk, class_chunks
from bacon.distillation.initialisation import noise_images, real_images
from bacon.distillation.matching.matching_losses import Embedded, ExtraTerm, MatchingLoss, RealStatistics
from bacon.distillation.pools import DrawnNetwork, NetworkPool
from bacon.distillation.variables import MomentumUpdate, Variable, Variables
from bacon.networks.network import Network
from bacon.transforms.dsa import SiameseDraw, siamese_augment, siamese_draw
from bacon.transforms.partition import decode

if TYPE_CHECKING:
    from bacon.settings.distillation import MatchingSettings

# First maps of a piece, per thread: what a core's cache holds.
_CACHE_BYTES = 8 * 2**20


class EmbeddingMatching:
    """An algorithm that matches embeddings class by class; methods derive from it and choose its parts.

    Args:
        settings: the method's.
        context: what it is given.
        loss: matches the embeddings.
        pool: where the embedding networks come from.
        extra: further terms of the loss.
    """

    def __init__(
        self,
        settings: MatchingSettings,
        context: Context,
        *,
        loss: MatchingLoss,
        pool: NetworkPool,
        extra: Sequence[ExtraTerm] = (),
    ) -> None:
        self.settings, self.context, self.real = settings, context, context.real
        self.loss, self.pool, self.extra = loss, pool, tuple(extra)
        self.iterations = settings.iterations
        self._chunks: dict[int, list[ClassChunk]] = {}
        added = (name for term in self.extra for name in (term.name, *term.figures))
        self.terms: tuple[str, ...] = (*loss.weights(), *added, "loss")
        turns = self.real.classes if settings.update == "per_class" else 1
        update = MomentumUpdate(settings.lr_img, momentum=settings.momentum, turns=turns)
        self.variables = Variables(
            classes=context.classes, images=Variable(self.initial_images(), update), partition=settings.partition
        )

    @property
    def images(self) -> Tensor:
        """(classes * ipc, C, H, W): the current synthetic images."""
        return self.variables.images.values

    def initial_images(self) -> Tensor:
        """(classes * ipc, C, H, W): the images of iteration 0."""
        ipc, seed = self.context.ipc, self.context.seed
        if self.settings.init == "noise":
            return noise_images(self.real, ipc=ipc, seed=seed)
        return real_images(self.real, ipc=ipc, partition=self.settings.partition, seed=seed)

    def synthetic(self) -> SyntheticSet:
        """The images with their classes."""
        return self.variables.synthetic()

    def state_dict(self) -> dict[str, Any]:
        """Images, momentum and pool."""
        return {"variables": self.variables.state_dict(), "pool": self.pool.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        self.variables.load_state_dict(state["variables"])
        self.pool.load_state_dict(state["pool"])

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: match, move the images, let the pool go on."""
        self.pool.begin(iteration)
        drawn = self.pool.draw(iteration)
        gradient, terms = self.context.memory.within(
            lambda: self.gradient(iteration, drawn), iteration=iteration, device=self.context.device
        )
        self.variables.step({"images": gradient})
        self.pool.advance(iteration, self.synthetic)
        return terms

    def chunks(self) -> list[ClassChunk]:
        """The classes that are computed together; worked out again when the memory limit has changed."""
        limit = self._limit()
        if limit not in self._chunks:
            counts, synthetic = self.real.counts, self.context.ipc * self.settings.parts()
            chunks = class_chunks(counts, batch_real=self.settings.batch_real, synthetic=synthetic, limit=limit)
            self._chunks = {limit: chunks}
        return self._chunks[limit]

    def _limit(self) -> int:
        return self.context.memory.images(self.real.shape)

    def gradient(self, iteration: int, drawn: DrawnNetwork) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the loss with respect to the images, and each term's mean over classes.

        Args:
            iteration: key of the draws.
            drawn: frozen embedding network, and its running training accuracy in percent.

        Returns:
            (classes * ipc, C, H, W) gradient, and name -> 0-d tensor.
        """
        gradient = torch.empty_like(self.images)
        shaped = gradient.unflatten(0, (self.real.classes, self.context.ipc))
        totals = {name: drawn.accuracy.new_zeros(()) for name in self.terms}
        for chunk in self.chunks():
            chosen, terms = self._chunk_gradient(chunk, iteration, drawn)
            shaped[self.real.index(chunk.classes)] = chosen
            for name, values in terms.items():
                totals[name] = totals[name] + values.detach().sum() / self.real.classes
        for term in self.extra:
            totals.update(term.recorded(drawn))
        return gradient, totals

    def _chunk_gradient(
        self, chunk: ClassChunk, iteration: int, drawn: DrawnNetwork
    ) -> tuple[Tensor, dict[str, Tensor]]:
        draw = siamese_draw(self.settings.dsa_strategy, self.context.seed, iteration, chunk.classes)
        statistics = self.real_statistics(chunk, draw, iteration, drawn.network)
        images = self.images.unflatten(0, (self.real.classes, self.context.ipc))[self.real.index(chunk.classes)]
        images = images.detach().requires_grad_()
        terms = self._terms(chunk, draw, images, statistics, drawn)
        (gradient,) = torch.autograd.grad(terms["loss"].sum(), images)
        return gradient, terms

    def _terms(
        self, chunk: ClassChunk, draw: SiameseDraw, images: Tensor, statistics: RealStatistics, drawn: DrawnNetwork
    ) -> dict[str, Tensor]:
        """Loss and its terms per class of the chunk; ``images`` (K, ipc, C, H, W) with gradient."""
        decoded = siamese_augment(draw, decode(images, self.settings.partition))  # (K, n, C, H, W)
        embedding = drawn.network.embed(decoded.flatten(0, 1))  # (K n, D)
        shape = (decoded.shape[0], decoded.shape[1])
        terms = self.loss.terms(statistics, embedding.unflatten(0, shape))
        weights = self.loss.weights()
        loss = sum((weight * terms[name] for name, weight in weights.items()), start=drawn.accuracy.new_zeros(()))
        embedded = Embedded(embedding=embedding, classes=self.real.index(chunk.classes), shape=shape, drawn=drawn)
        for term in self.extra:
            terms[term.name] = term.values(embedded)
            loss = loss + term.weight(drawn) * terms[term.name]
        return {**terms, "loss": loss}

    @torch.no_grad()
    def real_statistics(self, chunk: ClassChunk, draw: SiameseDraw, iteration: int, network: Network) -> RealStatistics:
        """What the loss keeps of the embedded real batch of each class of the chunk."""
        indices = self.real.sample_classes(
            self.context.seed, "real-batch", iteration=iteration, classes=chunk.classes, size=chunk.batch_real
        )
        pieces = (piece for part in self._augmented(indices, draw) for piece in part.split(self._at_once()))
        embedded = torch.cat([network.embed(piece) for piece in pieces])
        return self.loss.reduce(embedded.unflatten(0, indices.shape))

    def _at_once(self) -> int:
        """Images embedded at a time without a gradient: on the CPU as many as its cache holds first maps of."""
        if self.real.device.type != "cpu":
            return self._limit()
        _, height, width = self.real.shape
        map_bytes = self.context.network.width * height * width * self.real.dtype.itemsize
        return min(self._limit(), max(1, torch.get_num_threads() * _CACHE_BYTES // map_bytes))

    def _augmented(self, indices: Tensor, draw: SiameseDraw) -> Iterator[Tensor]:
        """The real images at ``indices`` (K, B), normalised and augmented, in pieces that memory has room for."""
        per_class = max(1, self._limit() // len(indices))
        if per_class >= indices.shape[1]:
            yield siamese_augment(draw, self.real.batch(indices)).flatten(0, 1)
            return
        # One class exceeds the limit on its own; chunks of several classes never do.
        for piece in indices.split(per_class, dim=1):
            yield siamese_augment(draw, self.real.batch(piece)).flatten(0, 1)
