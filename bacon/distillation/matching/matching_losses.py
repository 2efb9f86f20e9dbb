"""Losses of embedding matching: what of the real images is matched, by what distance, and terms added to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from bacon.distillation.matching.features import Features, Read
from bacon.distillation.pools import DrawnNetwork
from bacon.networks.network import Network

Statistics = TypeVar("Statistics")


@dataclass(frozen=True, kw_only=True)
class RealPiece:
    """Features of some real images of some classes, without gradient.

    Attributes:
        places: places of the classes in the chunk whose statistics are made.
        features: (len(places), b, ...): b images of each of them; further images of a class come in later pieces.
    """

    places: slice
    features: Features


class MatchingLoss(ABC, Generic[Statistics]):
    """A loss between features of real and of synthetic images.

    Attributes:
        reads: which features. Whatever reads ``stages`` gets the real images in pieces, because the maps of a whole batch would
            fill the memory; a loss that does not gets the batch of a chunk of classes in one piece, or, where networks mix
            the images of a batch, in pieces of whole classes.
        couples_classes: whether a class's terms depend on the images of other classes. If not, classes are computed in chunks
            of any size; if so, the synthetic images of all of them at once.
    """

    reads: ClassVar[frozenset[Read]] = frozenset({"embedding"})
    couples_classes: ClassVar[bool] = False

    def begin(self, iteration: int) -> None:
        """An iteration's gradient is computed now, perhaps not for the first time; for losses that draw random numbers."""
        del iteration

    def variables(self) -> list[Tensor]:
        """Tensors of the loss itself whose gradients it wants, as they take part in :meth:`terms`."""
        return []

    def collect(self, gradients: Sequence[Tensor]) -> None:
        """A chunk's gradients of :meth:`variables`; those of an iteration add up."""
        del gradients

    def end(self) -> None:
        """All chunks of the iteration have been collected."""

    @abstractmethod
    def reduce(self, real: Iterable[RealPiece], classes: int) -> Statistics:
        """What is kept of the real images of a chunk of ``classes`` classes; class by class, computed without a gradient."""

    @property
    def join(self) -> Callable[[Sequence[Statistics]], Statistics] | None:
        """What was kept of several chunks -> as if they were one, class after class; None: each chunk is a pass of its own."""
        return None

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Weight of each term of :meth:`terms` in the loss; same keys, same order."""

    @abstractmethod
    def terms(self, real: Statistics, synthetic: Features) -> dict[str, Tensor]:
        """Unweighted terms of the loss, one value per class.

        Args:
            real: statistics of the real batch; without gradient.
            synthetic: (K, n, ...) features of the n decoded synthetic images of each class; with gradient.

        Returns:
            name -> (K,) float; the loss of class c is ``sum(weights()[k] * terms[k][c])``.
        """


class ClassMeans:
    """Means over the images of each class, which come in pieces.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self._counts = [0] * classes
        self._total: Tensor | None = None

    def add(self, places: slice, values: Tensor) -> None:
        """Count ``values`` (k, b, ...) of b images of each of the k classes at ``places``."""
        if self._total is None:
            self._total = values.new_zeros(len(self._counts), *values.shape[2:])
        self._total[places] += values.sum(dim=1)
        for place in range(*places.indices(len(self._counts))):
            self._counts[place] += values.shape[1]

    def means(self) -> Tensor:
        """(classes, ...) mean of each class."""
        assert self._total is not None, "no image was counted"
        # Filled on the device: a list would be copied there, and the host would wait for it.
        filled = torch.cat([self._total.new_full((1,), count) for count in self._counts])
        return self._total / filled.view(-1, *(1,) * (self._total.ndim - 1))


@dataclass(frozen=True, kw_only=True)
class RealStatistics:
    """Per-class statistics of the embedded real batch (mu_T and sigma_T of docs/algorithms.md).

    Attributes:
        mean: (K, D) float, batch mean of the embeddings of each class.
        std: (K, D) float, unbiased standard deviation over the batch; ``None`` when the loss does not need it.
    """

    mean: Tensor
    std: Tensor | None


class EmbeddingLoss(MatchingLoss[RealStatistics]):
    """A loss of the mean, and perhaps the standard deviation, of each class's embeddings."""

    needs_std: ClassVar[bool] = False

    def reduce(self, real: Iterable[RealPiece], classes: int) -> RealStatistics:
        """Mean and standard deviation of the embeddings."""
        found = [self._of_piece(piece.features) for piece in real]
        assert sum(len(each.mean) for each in found) == classes, "pieces have whole classes"
        return _joined(found) if len(found) > 1 else found[0]

    def _of_piece(self, features: Features) -> RealStatistics:
        mean, std = features.mean_and_std() if self.needs_std else (features.mean(), None)
        return RealStatistics(mean=mean, std=std)

    @property
    def join(self) -> Callable[[Sequence[RealStatistics]], RealStatistics] | None:
        """Means and standard deviations of all classes, where no more is kept than :meth:`reduce` here keeps."""
        return _joined if type(self).reduce is EmbeddingLoss.reduce else None


def _joined(statistics: Sequence[RealStatistics]) -> RealStatistics:
    stds = [each.std for each in statistics if each.std is not None]
    return RealStatistics(mean=torch.cat([each.mean for each in statistics]), std=torch.cat(stds) if stds else None)


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The embedded synthetic images of a chunk of classes, for terms that look beyond the embedding.

    Attributes:
        iteration: key of draws.
        images: (K n, C, H, W) float, the images as they were embedded: decoded and augmented, with gradient.
        features: (K, n, ...), with gradient.
        classes: (K,) int64, the classes of the chunk.
        shape: (K, n): n decoded images of each class.
        drawn: the network that embedded them.
        beside: name of each term that has a network of its own in the iteration -> that network.
    """

    iteration: int
    images: Tensor
    features: Features
    classes: Tensor
    shape: tuple[int, int]
    drawn: DrawnNetwork
    beside: Mapping[str, Network] = field(default_factory=dict)

    @property
    def embedding(self) -> Tensor:
        """(K n, D) float, with gradient."""
        return self.features.embedding.flatten(0, 1)

    def logits(self) -> Tensor:
        """(K n, classes) float."""
        return self.features.classified(self.drawn.network)

    def labels(self) -> Tensor:
        """(K n,) int64."""
        return self.classes.repeat_interleave(self.shape[1])


class ExtraTerm(ABC):
    """A further term that a method adds to its matching loss.

    Attributes:
        name: what the history calls it.
        figures: what :meth:`recorded` adds to the history.
    """

    name: ClassVar[str]
    figures: ClassVar[tuple[str, ...]] = ()

    def network(self, iteration: int) -> Network | None:
        """A frozen network of its own for an iteration, which :meth:`values` finds in ``embedded.beside``."""
        del iteration
        return None

    @abstractmethod
    def weight(self, drawn: DrawnNetwork) -> Tensor | float:
        """Its weight in an iteration; a tensor is 0-d, on the device, without gradient."""

    @abstractmethod
    def values(self, embedded: Embedded) -> Tensor:
        """(K,) float: the unweighted term of each class of the chunk."""

    def recorded(self, drawn: DrawnNetwork) -> Mapping[str, Tensor]:
        """Each of :attr:`figures` for an iteration, 0-d."""
        del drawn
        return {}
