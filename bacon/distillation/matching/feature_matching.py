"""Matching the features of real and synthetic images, class by class in one pass (docs/algorithms.md).

A toolkit for methods: a method chooses the loss, the pool of networks and further terms, and says how images are augmented and
moved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from operator import add
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.chunks import ClassChunk, as_slice, class_chunks, joined_chunks
from bacon.distillation.class_draws import ClassDraws
from bacon.distillation.initialisation import first_images
from bacon.distillation.matching.features import features_of
from bacon.distillation.matching.matching_losses import Embedded, ExtraTerm, MatchingLoss
from bacon.distillation.matching.real_features import RealFeatures
from bacon.distillation.pools import DrawnNetwork, NetworkPool
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.siamese import Siamese
from bacon.networks.network import Network
from bacon.transforms.partition import decode

if TYPE_CHECKING:
    from bacon.settings.distillation import ImageMatchingSettings


class FeatureMatching(ABC):
    """The gradient of a matching loss with respect to the synthetic images.

    Args:
        settings: the method's.
        context: what it is given.
        loss: matches the features.
        pool: where the networks come from.
        extra: further terms of the loss.
        mixes_images: whether the networks mix the images of a batch (batch norm in training mode): the real images of all
            classes are then one batch, and the synthetic images another, however large.

    Attributes:
        recordable: whether :meth:`gradient` may be recorded on a GPU: the loss and its further terms draw nothing on the host,
            whatever they read keeps its place and its shape, and they may be given the number of the iteration as a tensor.
        replays: records it.
        draws: those of the gradient that is computed now, for :meth:`siamese`.
    """

    recordable: ClassVar[bool] = False

    def __init__(
        self,
        settings: ImageMatchingSettings,
        context: Context,
        *,
        loss: MatchingLoss[Any],
        pool: NetworkPool,
        extra: Sequence[ExtraTerm] = (),
        mixes_images: bool = False,
    ) -> None:
        self.settings, self.context, self.real = settings, context, context.real
        self.loss, self.pool, self.extra = loss, pool, tuple(extra)
        self.iterations = settings.iterations
        self._is_whole = mixes_images or loss.couples_classes
        self.draws = ClassDraws(self.real)
        self._real_features = RealFeatures(
            context,
            loss,
            self.siamese,
            batch_real=settings.batch_real,
            mixes_images=mixes_images,
            draws=self.draws,
        )
        self._chunks: dict[int, list[ClassChunk]] = {}
        added = (name for term in self.extra for name in (term.name, *term.figures))
        self.terms: tuple[str, ...] = (*loss.weights(), *added, "loss")
        self._names = self.terms  # what methods add to them is not computed here
        self.replays = RecordedSteps(
            context,
            settings.iterations,
            name="an iteration's matching",
            refused="" if self.recordable else f"{type(self).__name__} may draw numbers on the host",
        )

    @property
    @abstractmethod
    def images(self) -> Tensor:
        """(classes * ipc, C, H, W): the current synthetic images, normalised."""

    @abstractmethod
    def siamese(self, iteration: int, classes: Sequence[int]) -> Siamese:
        """The augmentation of real and synthetic images of ``classes`` in an iteration."""

    @abstractmethod
    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration; each of :attr:`terms`, 0-d."""

    @abstractmethod
    def synthetic(self) -> SyntheticSet:
        """The images with their classes."""

    def decoded(self, images: Tensor, iteration: int, classes: Sequence[int]) -> Tensor:
        """The training images (K, n, C, H, W) of stored images (K, ipc, C, H, W) of ``classes``, or those that are matched."""
        del iteration, classes
        return decode(images, self.settings.partition)

    def initial_images(self) -> Tensor:
        """(classes * ipc, C, H, W): the images of iteration 0."""
        settings, context = self.settings, self.context
        return first_images(
            self.real, init=settings.init, ipc=context.ipc, seed=context.seed, partition=settings.partition
        )

    def matched(self, iteration: int, drawn: DrawnNetwork) -> tuple[Tensor, dict[str, Tensor]]:
        """:meth:`gradient`, replayed where it is recorded; to be used before the next one is asked for.

        If the device runs out of memory, it is computed again with less beside it, then with fewer images at a time.
        """
        networks = {term.name: network for term in self.extra if (network := term.network(iteration)) is not None}
        given = Given(number=iteration, networks=(drawn.network, *networks.values()), tensors=(drawn.accuracy,))
        gradient, terms = self.context.memory.within(
            lambda: self.replays(partial(self._stacked, tuple(networks)), given),
            iteration=iteration,
            device=self.context.device,
            make_room=lambda: self.pool.make_room(iteration),
        )
        return gradient, dict(zip(self._names, terms.clone().unbind(), strict=True))

    def _stacked(self, beside: tuple[str, ...], given: Given) -> tuple[Tensor, Tensor]:
        """:meth:`gradient` and its terms as one tensor; ``beside`` names the networks after the first."""
        network, *others = given.networks
        (accuracy,) = given.tensors
        drawn = DrawnNetwork(network, accuracy)
        # A method that overrides it need not know of networks that none of its terms has.
        networks = [dict(zip(beside, others, strict=True))] if others else []
        gradient, terms = self.gradient(given.number, drawn, *networks)
        return gradient, torch.stack([terms[name] for name in self._names])

    def chunks(self) -> list[ClassChunk]:
        """The classes that are computed together; worked out again when the memory limit has changed."""
        if self._is_whole:
            return [ClassChunk(tuple(range(self.real.classes)), min(self.settings.batch_real, max(self.real.counts)))]
        limit = self.context.memory.images(self.real.shape)
        if limit not in self._chunks:
            counts, synthetic = self.real.counts, self.context.ipc * self.settings.parts()
            chunks = class_chunks(counts, batch_real=self.settings.batch_real, synthetic=synthetic, limit=limit)
            self._chunks = {limit: chunks}
        return self._chunks[limit]

    def _joined_chunks(self) -> list[list[ClassChunk]]:
        """The chunks, those together whose synthetic images are one pass.

        A GPU takes as long for the small kernels of a pass of four images as of four hundred. Passes are joined up to as many
        synthetic images as a chunk may have. A CPU gains nothing by it.
        """
        chunks = self.chunks()
        if self.loss.join is None or not _joins_passes(self.context.device):
            return [[chunk] for chunk in chunks]
        synthetic, limit = self.context.ipc * self.settings.parts(), self.context.memory.images(self.real.shape)
        return joined_chunks(chunks, synthetic=synthetic, limit=limit)

    def gradient(
        self, iteration: int, drawn: DrawnNetwork, beside: Mapping[str, Network] = MappingProxyType({})
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient of the loss with respect to the images, and each term's mean over classes.

        Args:
            iteration: key of the draws.
            drawn: frozen embedding network, and its running training accuracy in percent.
            beside: the networks of further terms that have one, by the names of the terms.

        Returns:
            (classes * ipc, C, H, W) gradient, and name -> 0-d tensor.
        """
        self.loss.begin(iteration)
        gradient = torch.empty_like(self.images)
        shaped = gradient.unflatten(0, (self.real.classes, self.context.ipc))
        summed: Tensor | None = None
        names: list[str] = []
        with self.draws.kept():
            for chunks in self._joined_chunks():
                classes = [label for chunk in chunks for label in chunk.classes]
                chosen, terms = self._classes_gradient(chunks, classes, iteration, drawn, beside)
                shaped[self._rows(classes)] = chosen
                names = list(terms)
                # All terms at once: one by one they would be three small kernels each.
                share = torch.stack([values.detach() for values in terms.values()]).sum(dim=1) / self.real.classes
                summed = share if summed is None else summed + share
        assert summed is not None, "there is a class"
        totals = dict(zip(names, summed.unbind(), strict=True))
        self.loss.end()
        for term in self.extra:
            totals.update(term.recorded(drawn))
        return gradient, totals

    def _rows(self, classes: Sequence[int]) -> slice | Tensor:
        """``classes`` as an index of tensors that have a row for each class; a view where they follow one another."""
        rows = as_slice(classes)
        return self.real.index(classes) if rows is None else rows

    def _classes_gradient(
        self,
        chunks: Sequence[ClassChunk],
        classes: Sequence[int],
        iteration: int,
        drawn: DrawnNetwork,
        beside: Mapping[str, Network],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        found = [self.real_statistics(chunk, iteration, drawn.network) for chunk in chunks]
        join = self.loss.join
        statistics = join(found) if join is not None and len(found) > 1 else found[0]
        images = self.images.unflatten(0, (self.real.classes, self.context.ipc))[self._rows(classes)]
        images = images.detach().requires_grad_()
        terms = self._terms(classes, iteration, images, statistics, drawn, beside)
        # Summed, as PyTorch imports SymPy, a sixth of a short job, when it is first given the gradient of an output.
        gradient, *others = torch.autograd.grad(terms["loss"].sum(), [images, *self.loss.variables()])
        self.loss.collect(others)
        return gradient, terms

    def _terms(
        self,
        classes: Sequence[int],
        iteration: int,
        images: Tensor,
        statistics: Any,
        drawn: DrawnNetwork,
        beside: Mapping[str, Network],
    ) -> dict[str, Tensor]:
        """Loss and its terms of each of ``classes``; ``images`` (K, ipc, C, H, W) with gradient."""
        decoded = self.decoded(images, iteration, classes)
        augmented = self.siamese(iteration, classes)(decoded)  # (K, n, C, H, W)
        shape = (augmented.shape[0], augmented.shape[1])
        features = features_of(drawn.network, augmented.flatten(0, 1), self.loss.reads).by_class(shape[1])
        terms = self.loss.terms(statistics, features)
        weights = self.loss.weights()
        # Products with one and sums with zero are kernels of their own on a GPU.
        loss = reduce(add, (terms[name] if weight == 1 else weight * terms[name] for name, weight in weights.items()))
        embedded = Embedded(
            iteration=iteration,
            images=augmented.flatten(0, 1),
            features=features,
            classes=self.real.index(classes),
            shape=shape,
            drawn=drawn,
            beside=beside,
        )
        for term in self.extra:
            terms[term.name] = term.values(embedded)
            loss = loss + term.weight(drawn) * terms[term.name]
        return {**terms, "loss": loss}

    @torch.no_grad()
    def real_statistics(self, chunk: ClassChunk, iteration: int, network: Network) -> Any:
        """What the loss keeps of the real batch of each class of the chunk."""
        pieces = self._real_features.pieces(chunk, iteration, network)
        return self.loss.reduce(pieces, len(chunk.classes))


def _joins_passes(device: torch.device) -> bool:
    return device.type == "cuda"
