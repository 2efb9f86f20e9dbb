"""What a downstream task is to the rest of the package: a record that says everything about it but how it computes.

Records never import torch: the workflow reads them while it parses. What a task computes is its algorithm
(``bacon.downstream.algorithm``), which the record names and the job that needs it loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.downstream import TaskSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.training_need import TrainingNeed


@dataclass(frozen=True, kw_only=True)
class TaskColumn:
    """A column of a task's table: the measurements that it shows, and how.

    Attributes:
        metric: name of the measurements.
        title: heading.
        condition: that they were made under, such as an attack; empty: none.
        at: where on the abscissa, such as a perturbation's size; ``None``: they have no place on one.
        scale: factor of the numbers shown: 100 for fractions in percent.
        possible: where the quantity lies, before ``scale``: an interval is cut off there.
        decimals: shown.
    """

    metric: str
    title: str
    condition: str = ""
    at: float | None = None
    scale: float = 100.0
    possible: tuple[float, float] = (0.0, 1.0)
    decimals: int = 1


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """How large what a task works on is, for the cost model.

    Attributes:
        images: that a network is trained on, decoded.
        classes: of the data set.
        train: real training images.
        test: test images.
        epochs: that the cell's protocol trains a network for.
    """

    images: int
    classes: int
    train: int
    test: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class TaskWork:
    """What one repetition computes, besides training the cell's network: images that pass through the network.

    Attributes:
        forward: images passed forward.
        image_gradient: images passed forward, and backward to the image.
        training: images passed forward, and backward to the weights.
        passes: batches of any of them.
    """

    forward: float = 0.0
    image_gradient: float = 0.0
    training: float = 0.0
    passes: float = 0.0


def one_test(_: Any, size: TaskSize) -> TaskWork:
    """One pass over the test set."""
    return TaskWork(forward=size.test, passes=size.test / 256)


def nothing_trained(_: Any, __: CellSettings, ___: NetworkSettings) -> tuple[TrainingNeed, ...]:
    """No network trained on the real set."""
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One entry of the registry of downstream tasks; a record is itself alone."""

    name: str
    """Name in configurations, paths and rules: lower case, letters and underscores."""
    title: str
    """Name in tables and the report."""
    summary: str
    """One line for the documentation: what it measures."""
    reference: str
    """Where it, or its protocol, is published."""
    settings_model: type[TaskSettings]
    """Model of its section ``downstream.NAME``."""
    algorithm: str
    """``module:Class`` of its algorithm, loaded by the job."""
    columns: Callable[[Any], tuple[TaskColumn, ...]]
    """Columns of its table, by its settings."""
    notes: Callable[[Any], tuple[str, ...]]
    """What the numbers mean, below its table and in the report, by its settings: one paragraph each."""
    figure: str = ""
    """Title of its figure (``bacon.reporting.figures.task_figures`` draws it); empty: it has none."""
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Preset -> what it changes of the defaults, below what a configuration says."""
    has_networks: bool = True
    """Whether it is run with each evaluation network; otherwise once for each cell, with the first network of the grid."""
    has_full: bool = True
    """Whether it is run for the full data sets too."""
    uses_trained: bool = True
    """Whether it tests the networks that the cell's evaluation trains; they are then trained once for all tasks."""
    needs: Callable[[Any, CellSettings, NetworkSettings], tuple[TrainingNeed, ...]] = nothing_trained
    """Further networks trained on the real set, by its settings, the cell's, and the evaluation network."""
    cost: Callable[[Any, TaskSize], TaskWork] = one_test
    """What one repetition computes, by its settings, for time limits and the order of jobs."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Module that its algorithm imports and that is no dependency of this package -> what to install to have it."""

    def missing(self, module: str) -> str:
        """What to do about a module of :attr:`packages` that is not installed, for a message."""
        return (
            f"grid.downstream: the task {self.name} needs the package {module}, which is not installed: "
            f"{self.packages[module]}; or take {self.name} out of grid.downstream"
        )

    def check_packages(self) -> None:
        """Raise :class:`BaconError` unless every module of :attr:`packages` can be imported; none is imported to find out."""
        for module in self.packages:
            if find_spec(module) is None:
                raise BaconError(self.missing(module))

    @property
    def modules(self) -> tuple[str, ...]:
        """Dotted modules whose code its results depend on, besides the driver's."""
        return (self.algorithm.partition(":")[0],)
