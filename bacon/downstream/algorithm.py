"""What a downstream task computes: the interface of its algorithm, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from bacon.artifacts.downstream_results import Measured, Measurement, TaskCache
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.store import ImageDataset
from bacon.downstream.cell_networks import CellNetworks
from bacon.downstream.real_set_of_job import real_training_images
from bacon.evaluation.protocol_training import NetworkTraining, trained_network
from bacon.networks.network import Network
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.image_set import ImageSet

__all__ = ["Measured", "Measurement", "TaskAlgorithm", "TaskContext"]


class TaskAlgorithm(Protocol):
    """A downstream task on one cell with one evaluation network; made as ``Algorithm(settings, context)``."""

    def measure(self, repetition: int) -> Measured:
        """What repetition ``repetition``, from 0, finds: a pure function of its number and of what the task was made with.

        Raises:
            BaconError: the task cannot be done on this cell, with the reason.
        """


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What a task is given.

    Attributes:
        where: the cell and network, for messages.
        cell_networks: the data, and the networks that the cell's evaluation trains.
        synthetic: the distilled set in stored form, on the device; ``None`` for the full data set.
        inputs: name of each of the task's ``needs`` -> the networks trained on the real set.
        shared: folder for what all cells of a data set share; its files may be deleted at any time.
        pieces: keeps finished pieces of a repetition (:meth:`kept`).
    """

    where: str
    cell_networks: CellNetworks
    synthetic: SyntheticSet | None
    inputs: Mapping[str, TrainedRuns]
    shared: Path
    pieces: TaskCache

    @property
    def is_full(self) -> bool:
        """Whether the cell is the full data set."""
        return self.synthetic is None

    @property
    def device(self) -> torch.device:
        """Where the job computes."""
        return self.cell_networks.networks.job.device

    @property
    def dataset(self) -> ImageDataset:
        """The prepared data set; its training images are read only for tasks that ask for :attr:`real_train`."""
        return self.cell_networks.networks.dataset

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.class_names)

    @property
    def network(self) -> NetworkSettings:
        """Architecture of the evaluation network."""
        return self.cell_networks.networks.job.network

    @property
    def evaluation(self) -> EvaluationSettings:
        """The cell's protocol with the augmentation and the learning rate that its networks are trained with."""
        return self.cell_networks.protocol

    @property
    def test(self) -> ImageSet:
        """The test set."""
        return self.cell_networks.networks.test

    @property
    def validation(self) -> ImageSet | None:
        """The validation split; ``None``: there is none."""
        return self.cell_networks.networks.validation

    @cached_property
    def train(self) -> ImageSet:
        """The images that the cell's networks are trained on, decoded, with soft labels where the set has them."""
        return self.cell_networks.networks.train(self.cell_networks.networks.final)

    @cached_property
    def real_train(self) -> ImageSet:
        """The real training images, without the validation split."""
        return real_training_images(self.cell_networks.networks)

    def seed(self, repetition: int) -> tuple[int, int]:
        """(distillation seed, repetition): what every draw of a repetition is keyed with."""
        return self.cell_networks.seed(repetition)

    def trained(self, repetition: int) -> Network:
        """The network that the cell's evaluation trains with evaluation seed ``repetition``, once for all tasks.

        It is in eval mode, and its parameters take no gradient.
        """
        return self.cell_networks.network(repetition)

    def train_network(
        self, images: ImageSet, *, seed: tuple[int, int], network: NetworkSettings | None = None
    ) -> Network:
        """A network trained from scratch on other images under the cell's protocol, in eval mode.

        Args:
            images: what it is trained on, such as some classes of :attr:`train`.
            seed: keys initialisation, order and augmentation.
            network: another architecture; ``None``: the evaluation network.
        """
        given = self.training(images, seed=seed)
        return trained_network(given if network is None else replace(given, network=network))

    def training(self, images: ImageSet, *, seed: tuple[int, int]) -> NetworkTraining:
        """How the evaluation network is trained on other images under the cell's protocol, for tasks that change some of it."""
        return NetworkTraining(
            train=images,
            network=self.network,
            evaluation=self.evaluation,
            classes=self.classes,
            seed=seed,
            validation=self.validation,
            teacher=self.cell_networks.networks.teacher,
        )

    def kept(self, name: str, compute: Callable[[], Any]) -> Any:
        """A finished piece of a repetition, JSON: from the cache, where a stopped job left it, or computed and kept.

        Args:
            name: of the piece, with its repetition, such as ``0-candidate3``: letters, digits and ``-_``.
            compute: makes it.
        """
        found = self.pieces.load(name)
        if found is None:
            found = compute()
            self.pieces.store(name, found)
        return found
