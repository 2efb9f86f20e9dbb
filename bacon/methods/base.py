"""What a distillation method is: the settings it changes and the objective it minimises.

A method file holds one objective (settings and loss) and one ``Method`` record. It must not import torch at run time:
the workflow reads method records while it parses, and importing torch costs seconds. Losses use tensor methods only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bacon.settings.base import Strict

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class RealStatistics:
    """Per-class statistics of the embedded real batch (mu_T and sigma_T of docs/algorithms.md).

    Attributes:
        mean: (C, D) float, batch mean of the embeddings of each class.
        std: (C, D) float, unbiased standard deviation over the batch; ``None`` when the objective does not need it.
    """

    mean: Tensor
    std: Tensor | None


class Objective(Strict, ABC):
    """A matching loss between real and synthetic embeddings; its fields are its settings.

    Subclasses fix ``kind`` to a literal and list themselves in ``bacon.methods.registry.OBJECTIVES``.
    """

    kind: str
    needs_std: ClassVar[bool] = False

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Weight of each term of :meth:`terms` in the loss; same keys, same order."""

    @abstractmethod
    def terms(self, real: RealStatistics, synthetic_mean: Tensor) -> dict[str, Tensor]:
        """Unweighted terms of the loss, one value per class.

        Args:
            real: statistics of the real batch; carries no gradient.
            synthetic_mean: (C, D) float, mean embedding mu_S of each class's synthetic images; carries the gradient.

        Returns:
            name -> (C,) float; the loss of class c is ``sum(weights()[k] * terms[k][c])``.
        """


Family = Literal["reference", "selection", "matching"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """One entry of the method registry."""

    name: str
    """Name in configurations and paths: lower case."""
    title: str
    """Name in tables and figures, as the field writes it."""
    family: Family
    """``reference``: the full training set; ``selection``: real images chosen; ``matching``: the distillation engine."""
    summary: str
    """One line for the documentation: what the method does."""
    reference: str
    """Where the method is published."""
    selector: str | None = None
    """Selection methods: dotted module with ``select(...)`` that chooses the images (see ``selectors.random``)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The method's layer: partial cell settings, e.g. ``{"distillation": {"partition": 2}}``."""
    figure_place: int | None = None
    """Place in the figures' sequence of colours and markers (``bacon.reporting.figures.style``), given once and kept, so that
    the method looks the same whatever else is added; ``None``: behind all that are given."""
    published_name: str | None = None
    """Name in ``resources/published_results.csv``; ``None``: the title. Letter case and punctuation do not count."""
    term_titles: Mapping[str, str] = field(default_factory=dict)
    """Name of a loss term in the history -> its name in figures; a term without one goes by its own."""
