"""Evaluation of a cell: time to train and test its networks, in turns with the published evaluation."""

from __future__ import annotations

import statistics
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from bacon.distillation.initialisation import real_images
from bacon.distillation.real_images import RealImages
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.networks.build import build_network
from bacon.settings.evaluation import EvaluationSettings
from bacon.training.batches import ImageSet
from bacon.training.predictions import confusion_matrix
from bacon.transforms.partition import decode
from benchmarks.cells import Measured, random_dataset
from benchmarks.machine import seconds_of, synchronise
from benchmarks.published import Published


class Ours:
    """Our evaluation of a cell's training images, a few epochs at a time.

    Args:
        measured: the cell.
        device: where networks are trained.
    """

    def __init__(self, measured: Measured, device: torch.device) -> None:
        self.dataset = random_dataset(measured.cell.dataset)
        self.measured, self.device = measured, device
        self.factor = measured.matching.partition
        real = RealImages(self.dataset, device=device)
        stored = real_images(real, ipc=measured.ipc, partition=self.factor, seed=0)
        labels = torch.arange(real.classes, device=device).repeat_interleave(measured.ipc * self.factor**2)
        self.train = ImageSet(images=decode(stored, self.factor).contiguous(), labels=labels)
        self.test = ImageSet.of_uint8(
            self.dataset.test_images,
            self.dataset.test_labels,
            mean=self.dataset.mean,
            std=self.dataset.std,
            device=device,
        )

    def epochs(self, count: int) -> list[float]:
        """Seconds of each of ``count`` epochs of one network, the first one with all that comes before it."""
        stamps = [time.perf_counter()]

        def stamp() -> None:
            synchronise(self.device)
            stamps.append(time.perf_counter())

        train_and_test(
            NetworkTraining(
                train=self.train,
                network=self.measured.settings.network,
                evaluation=self.settings(count),
                classes=len(self.dataset.class_names),
                seed=(0, 0),
            ),
            self.test.first(1),
            on_epoch=stamp,
        )
        return [later - earlier for earlier, later in pairwise(stamps)]

    def settings(self, epochs: int) -> EvaluationSettings:
        """The cell's protocol, cut to ``epochs``."""
        return self.measured.settings.evaluation.model_copy(update={"epochs": epochs})

    def testing(self) -> float:
        """Seconds to test one network on the whole test set."""
        channels, size, _ = self.train.images.shape[1:]
        network = build_network(
            self.measured.settings.network,
            channels=channels,
            size=size,
            classes=len(self.dataset.class_names),
            seed=0,
            device=self.device,
        )
        return seconds_of(lambda: confusion_matrix(network, self.test, len(self.dataset.class_names)), self.device)


def measure(
    measured: Measured, *, device: torch.device, rounds: int, epochs: int = 8, published: Path | None = None
) -> dict[str, Any]:
    """Time of a cell's whole evaluation: seeds x (epochs x median epoch + test), from a few epochs of each program.

    Args:
        measured: the cell.
        device: where our networks are trained.
        rounds: trainings of each program, in turns.
        epochs: epochs of each training; its first one, with the set-up, does not count.
        published: the user's checkout of the published code; timed on CIFAR-10 cells.
    """
    ours = Ours(measured, device)
    context: Any = nullcontext()
    if published is not None:
        context = Published(
            published,
            ours.dataset,
            threads=torch.get_num_threads(),
            specification={"do": "evaluate"},
            images=ours.train.images.cpu(),
            labels=ours.train.labels.cpu(),
        )
    pairs: list[dict[str, float]] = []
    with context as program:
        for _ in range(rounds):
            pair = {"epoch": statistics.median(ours.epochs(epochs)[1:]), "test": ours.testing()}
            if program is not None:
                answer = program.ask(epochs=epochs)
                pair |= {
                    "published_epoch": statistics.median(answer["train"][1:]),
                    "published_test": statistics.median(answer["test"]),
                }
            pairs.append(pair)
    return {"cell": str(measured.cell)} | whole(pairs, measured.settings.evaluation)


def whole(pairs: list[dict[str, float]], evaluation: EvaluationSettings) -> dict[str, Any]:
    """Times of one network and of all seeds, and the ratio of the published program's to ours (median over rounds)."""
    row: dict[str, Any] = {f"{name}_seconds": statistics.median(pair[name] for pair in pairs) for name in pairs[0]}
    network = [evaluation.epochs * pair["epoch"] + pair["test"] for pair in pairs]
    row |= {"epochs": evaluation.epochs, "seeds": evaluation.seeds, "network_seconds": statistics.median(network)}
    row["all_seeds_seconds"] = evaluation.seeds * row["network_seconds"]
    if "published_epoch" in pairs[0]:
        theirs = [evaluation.epochs * pair["published_epoch"] + pair["published_test"] for pair in pairs]
        row["published_network_seconds"] = statistics.median(theirs)
        row["published_over_ours"] = statistics.median(other / own for other, own in zip(theirs, network, strict=True))
    return row
