"""What a lower precision of the convolutions does to accuracy: the same cells and seeds, distilled and evaluated in each."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import torch

from bacon.datasets.store import ImageDataset
from bacon.distillation.real_images import RealImages
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.runtime.progress import Progress
from bacon.training.batches import ImageSet
from benchmarks.cells import Measured, engine_of
from benchmarks.machine import set_up


def measure(
    cell: Measured, dataset: ImageDataset, *, device: torch.device, seeds: int, precisions: Sequence[str]
) -> list[dict[str, Any]]:
    """Test accuracy in percent of a cell in each precision, and the paired difference to the first.

    Args:
        cell: the cell; its settings apply but for ``network.precision``.
        dataset: the preprocessed data set.
        device: where it is computed.
        seeds: distillation seeds 0..n-1, one network each.
        precisions: values of ``network.precision``; the first is the one that the others are compared with.

    Returns:
        One row per precision: n, mean, sd over seeds; mean and sd of the differences seed by seed.
    """
    rows: list[dict[str, Any]] = []
    first: list[float] = []
    for precision in precisions:
        set_up(torch.get_num_threads(), precision)
        found = [100 * accuracy(cell, dataset, device, seed, precision) for seed in range(seeds)]
        first = first or found
        differences = [mine - other for mine, other in zip(found, first, strict=True)]
        rows.append(
            {
                "cell": f"{cell.cell}".rpartition("/")[0],
                "precision": precision,
                "n": seeds,
                "accuracy": statistics.mean(found),
                "sd": spread(found),
                "difference": statistics.mean(differences),
                "difference_sd": spread(differences),
            }
        )
    set_up(torch.get_num_threads())
    return rows


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation; zero of one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def accuracy(cell: Measured, dataset: ImageDataset, device: torch.device, seed: int, precision: str) -> float:
    """Test accuracy in [0, 1] of one network trained on the images of one distillation, both in ``precision``."""
    network = cell.settings.network.model_copy(update={"precision": precision})
    real = RealImages(dataset, device=device)
    engine = engine_of(cell, real, network=network, seed=seed)
    with Progress(f"{cell.cell} {precision}", cell.matching.iterations) as progress:
        engine.run(progress)
    decoded = engine.algorithm.synthetic().decoded()
    train = ImageSet(images=decoded.images, labels=decoded.classes)
    test = ImageSet.of_uint8(
        dataset.test_images,
        dataset.test_labels,
        mean=dataset.mean,
        std=dataset.std,
        device=device,
        whitening=dataset.whitening,
    )
    outcome = train_and_test(
        NetworkTraining(
            train=train, network=network, evaluation=cell.settings.evaluation, classes=real.classes, seed=(seed, 0)
        ),
        test,
    )
    return outcome.test_accuracy
