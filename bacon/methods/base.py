"""What a distillation method is to the rest of the package: a record that says everything about it but how it computes.

Records never import torch: the workflow reads them while it parses. What a method computes is its algorithm
(``bacon.distillation.algorithm``), which the record names and the job that needs it loads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import DistillationSettings
from bacon.settings.training_need import TrainingNeed

PartialSettings = Mapping[str, Any]
"""Partial cell settings, section by section, e.g. ``{"distillation": {"partition": 2}}``."""


@dataclass(frozen=True, kw_only=True)
class CellSize:
    """How large a cell is, for the cost model.

    Attributes:
        ipc: stored images per class.
        classes: number of classes.
        train: real training images.
    """

    ipc: int
    classes: int
    train: int

    def real_batch(self, per_class: int) -> int:
        """Images of a batch of at most ``per_class`` real images of each class."""
        return min(per_class, math.ceil(self.train / self.classes)) * self.classes


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Passes through a distillation network that an iteration makes.

    Attributes:
        kind: ``forward``; ``image_gradient``: forward, and backward to the images; ``training``: forward, and backward to the
            weights; ``matching_gradient``: forward, backward to the weights, and through both to the images.
        images: images in each.
        count: how many of them, one after the other.
        ahead: whether they depend on nothing that the iterations move, so that a GPU makes those of several iterations side by
            side, beside the other passes.
    """

    kind: Literal["forward", "image_gradient", "training", "matching_gradient"]
    images: int
    count: int = 1
    ahead: bool = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a distillation computes: ``iterations`` times the same passes.

    Attributes:
        iterations: how often.
        passes: of each.
        host_weights: weights of a network that wait in the host's memory in each while a GPU computes.
    """

    iterations: int
    passes: tuple[Passes, ...]
    host_weights: int = 0


def one_look(_: Any, size: CellSize) -> Work:
    """One pass over the training set: what choosing real images counts as."""
    return Work(iterations=1, passes=(Passes(kind="forward", images=size.train),))


def no_needs(_: CellSettings) -> tuple[TrainingNeed, ...]:
    """No network trained on the real set."""
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """One entry of the method registry; a record is itself alone."""

    name: str
    """Name in configurations and paths: lower case."""
    title: str
    """Name in tables and figures, as the field writes it."""
    summary: str
    """One line for the documentation: what the method does."""
    reference: str
    """Where the method is published."""
    settings_model: type[DistillationSettings] | None
    """Model of its ``distillation`` section; ``None``: nothing is distilled, as for the full training set."""
    algorithm: str | None
    """``module:Class`` of its algorithm, loaded by the job that distils; ``None``: nothing is distilled."""
    settings: PartialSettings = field(default_factory=dict)
    """The method's layer: what differs from its model's defaults."""
    scales: Mapping[str, PartialSettings] = field(default_factory=dict)
    """Preset -> what it changes of this method, below the method's layer; a preset that is not named changes nothing of it."""
    published: Mapping[tuple[str, int], PartialSettings] = field(default_factory=dict)
    """(Data set, IPC) -> the settings its authors used there, above the method's layer, with the preset ``paper``."""
    protocol: str = "paper"
    """The evaluation protocol of its own publication, a name of ``protocol`` in the configuration."""
    needs: Callable[[CellSettings], tuple[TrainingNeed, ...]] = no_needs
    """Networks trained on the real set that a cell with these settings distils with."""
    cost: Callable[[Any, CellSize], Work] = one_look
    """What a distillation with these settings (of its own model) computes, for time limits and the order of jobs."""
    figure_place: int | None = None
    """Place in the figures' sequence of colours and markers (``bacon.reporting.figures.style``), given once and kept, so that
    the method looks the same whatever else is added; ``None``: behind all that are given."""
    published_name: str | None = None
    """Name in ``resources/published_results.csv``; ``None``: the title. Letter case and punctuation do not count."""
    is_control: bool = False
    """Whether it is a control that other methods are held against, such as random images, rather than a competitor."""
    term_titles: Mapping[str, str] = field(default_factory=dict)
    """Name of a loss term in the history -> its name in figures; a term without one goes by its own."""

    @property
    def is_distilled(self) -> bool:
        """Whether it makes a synthetic set; otherwise it is a reference row, and no method of a grid."""
        return self.algorithm is not None

    @property
    def modules(self) -> tuple[str, ...]:
        """Dotted modules whose code its synthetic sets depend on, besides the driver's."""
        return () if self.algorithm is None else (self.algorithm.partition(":")[0],)
