"""Architecture search with the distilled set in place of the whole one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bacon.downstream.base import Task, TaskColumn, TaskSize, TaskWork
from bacon.settings.cell_settings import CellSettings
from bacon.settings.downstream import TaskSettings, each_once
from bacon.settings.network import NetworkSettings
from bacon.settings.trained_networks import TrainedNetworkSettings, selection_need
from bacon.settings.training_need import TrainingNeed

Precision = Literal["fp32", "tf32", "bf16"]
Norm = Literal["instance", "batch", "layer", "group", "none"]
Activation = Literal["relu", "leaky_relu", "sigmoid", "tanh", "swish"]
Pooling = Literal["avg", "max", "none"]

DC_SPACE = {
    "widths": (32, 64, 128, 256),
    "depths": (1, 2, 3, 4),
    "norms": ("none", "batch", "layer", "instance", "group"),
    "activations": ("sigmoid", "relu", "leaky_relu"),
    "poolings": ("none", "max", "avg"),
}
"""The 720 ConvNets of DC (Zhao, Mopuri and Bilen, ICLR 2021)."""


class ArchitectureSearchSettings(TaskSettings):
    """The candidates, which are ConvNets, and how the networks are trained that searches are judged by."""

    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (32, 64, 128), min_length=1, description="Channels of every convolution. DC: [32, 64, 128, 256]."
    )
    depths: tuple[Annotated[int, Field(ge=1, le=6)], ...] = Field(
        (1, 2, 3), min_length=1, description="Blocks. DC: [1, 2, 3, 4]; each block halves the image."
    )
    norms: tuple[Norm, ...] = Field(
        ("none", "instance"), min_length=1, description="Normalisations. DC: [none, batch, layer, instance, group]."
    )
    activations: tuple[Activation, ...] = Field(
        ("relu",), min_length=1, description="Activations. DC: [sigmoid, relu, leaky_relu]."
    )
    poolings: tuple[Pooling, ...] = Field(("avg",), min_length=1, description="Poolings. DC: [none, max, avg].")
    reference_runs: int = Field(
        1,
        ge=1,
        le=100,
        description="Networks of each candidate trained on the whole set, by whose mean accuracy searches are judged.",
    )
    reference_epochs: int = Field(
        100, ge=1, description="Epochs of these: SGD with rate 0.01, which drops to a tenth in the middle."
    )
    reference_batch: int = Field(256, ge=1, description="Real images per step of these.")
    reference_augmentation: Literal["none", "crop_flip", "dsa"] = Field(
        "dsa", description="Augmentation of these; without flip in the cell's `dsa_strategy` nothing is mirrored."
    )
    top: int = Field(
        10,
        ge=2,
        description="Candidates that the proxy ranks first, over which rank correlation is reported too.",
    )

    _each_once = field_validator("widths", "depths", "norms", "activations", "poolings")(each_once)

    def candidates(self, precision: Precision = "tf32") -> dict[str, NetworkSettings]:
        """Name, such as ``w64-d3-instance-relu-avg`` -> network, in the order of the lists, the first varying slowest."""
        return dict(self._each(precision))

    def _each(self, precision: Precision) -> Iterator[tuple[str, NetworkSettings]]:
        for width, depth, norm, activation, pooling in product(
            self.widths, self.depths, self.norms, self.activations, self.poolings
        ):
            yield (
                f"w{width}-d{depth}-{norm}-{activation}-{pooling}",
                NetworkSettings(
                    width=width,
                    depth=depth,
                    norm=norm,
                    activation=activation,
                    pooling=pooling,
                    precision=precision,
                ),
            )


def needs(
    settings: ArchitectureSearchSettings, cell: CellSettings, network: NetworkSettings
) -> tuple[TrainingNeed, ...]:
    """The networks of each candidate trained on the whole set; the need has the candidate's name."""
    training = TrainedNetworkSettings(
        runs=settings.reference_runs,
        epochs=settings.reference_epochs,
        batch_size=settings.reference_batch,
        augmentation=settings.reference_augmentation,
    )
    return tuple(
        selection_need(name, training, candidate, dsa_strategy=cell.evaluation.dsa_strategy, keep={"final"})
        for name, candidate in settings.candidates(network.precision).items()
    )


def columns(settings: ArchitectureSearchSettings) -> tuple[TaskColumn, ...]:
    """Rank correlations, and what the choice is worth."""
    largest = float("inf")

    def correlation(metric: str, title: str) -> TaskColumn:
        return TaskColumn(metric=metric, title=title, scale=1.0, possible=(-1.0, 1.0), decimals=2)

    return (
        correlation("spearman", "Spearman"),
        correlation("kendall", "Kendall"),
        correlation("top_spearman", f"Spearman, top {settings.top}"),
        TaskColumn(metric="chosen_accuracy", title="Chosen (%)"),
        TaskColumn(metric="best_accuracy", title="Best (%)"),
        TaskColumn(metric="chosen_rank", title="Rank of the chosen", scale=1.0, possible=(1.0, largest)),
        TaskColumn(metric="time_share", title="Time (%)", possible=(0.0, largest)),
    )


def notes(settings: ArchitectureSearchSettings) -> tuple[str, ...]:
    """The protocol and the columns."""
    count = len(settings.candidates())
    return (
        f"A repetition is a search among {count} ConvNets, each trained once on the distilled set under the cell's protocol. "
        f"Reference: networks trained on the whole set, {settings.reference_runs} of each candidate for "
        f"{settings.reference_epochs} epochs. Both are ranked by accuracy on the validation split, or without one on one half "
        "of the test images; Chosen and Best are accuracies on the test images, or on the other half of them.",
        "Spearman, Kendall: rank correlation of the candidates' accuracy with the reference's; of the top "
        f"{settings.top}: of those that the search ranks first. Chosen: accuracy of the candidate that the search ranks first, "
        "trained on the whole set. Best: that of the candidate that the reference ranks first. Rank: place of the chosen one "
        "in the reference. Time: of the search, in percent of training one network of each candidate on the whole set.",
    )


def work(settings: ArchitectureSearchSettings, size: TaskSize) -> TaskWork:
    """Every candidate is trained on the set and tested, counted as the evaluation network, and the references are tested."""
    count = len(settings.candidates())
    training, test = count * size.images * size.epochs, count * (1 + settings.reference_runs) * size.test
    return TaskWork(forward=test, training=training, passes=(training + test) / 256 + count * size.epochs)


ARCHITECTURE_SEARCH = Task(
    name="architecture_search",
    title="Architecture search",
    summary="Whether networks trained on the distilled set rank architectures as networks trained on the whole set do.",
    reference="Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021, arXiv:2006.05929",
    settings_model=ArchitectureSearchSettings,
    algorithm="bacon.downstream.architecture_search.algorithm:ArchitectureSearch",
    columns=columns,
    notes=notes,
    figure="Architecture search: the set against all images",
    scales={
        "smoke": {"widths": (8,), "depths": (1, 2), "reference_epochs": 2, "reference_batch": 64},
        "demo": {"widths": (16, 32, 64), "reference_epochs": 20, "reference_batch": 64},
    },
    has_networks=False,
    has_full=False,
    uses_trained=False,
    needs=needs,
    cost=work,
)
