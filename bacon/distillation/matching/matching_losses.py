"""Losses of embedding matching: what of the real images is matched, by what distance, and terms added to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bacon.distillation.pools import DrawnNetwork


@dataclass(frozen=True, kw_only=True)
class RealStatistics:
    """Per-class statistics of the embedded real batch (mu_T and sigma_T of docs/algorithms.md).

    Attributes:
        mean: (K, D) float, batch mean of the embeddings of each class.
        std: (K, D) float, unbiased standard deviation over the batch; ``None`` when the loss does not need it.
    """

    mean: Tensor
    std: Tensor | None


class MatchingLoss(ABC):
    """A loss between the embeddings of real and synthetic images of the same class.

    A class's terms depend on the images of that class alone, so classes can be computed in chunks of any size.
    """

    needs_std: ClassVar[bool] = False

    def reduce(self, real: Tensor) -> RealStatistics:
        """Statistics of the real embeddings (K, B, D), computed without a gradient."""
        mean = real.mean(dim=1)
        return RealStatistics(mean=mean, std=unbiased_std(real, mean) if self.needs_std else None)

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Weight of each term of :meth:`terms` in the loss; same keys, same order."""

    @abstractmethod
    def terms(self, real: RealStatistics, synthetic: Tensor) -> dict[str, Tensor]:
        """Unweighted terms of the loss, one value per class.

        Args:
            real: statistics of the real batch; carries no gradient.
            synthetic: (K, n, D) float, embeddings of the n decoded synthetic images of each class; carries the gradient.

        Returns:
            name -> (K,) float; the loss of class c is ``sum(weights()[k] * terms[k][c])``.
        """


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The embedded synthetic images of a chunk of classes, for terms that look beyond the embedding.

    Attributes:
        embedding: (K n, D) float, carries the gradient.
        classes: (K,) int64, the classes of the chunk.
        shape: (K, n): n decoded images of each class.
        drawn: the network that embedded them.
    """

    embedding: Tensor
    classes: Tensor
    shape: tuple[int, int]
    drawn: DrawnNetwork

    def logits(self) -> Tensor:
        """(K n, classes) float."""
        return self.drawn.network.classify(self.embedding)

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


def unbiased_std(x: Tensor, mean: Tensor) -> Tensor:
    """Unbiased standard deviation (K, D) over the batches of ``x`` (K, B, D) with means (K, D).

    In two passes of whole rows, which is many times as fast as ``x.std(dim=1)`` on a CPU.
    """
    squares = (x - mean[:, None]).square_().sum(dim=1)
    return squares.div_(x.shape[1] - 1).sqrt_()
