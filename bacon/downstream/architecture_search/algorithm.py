"""Architecture search: every candidate trained on a cell's set, and judged by its networks trained on the whole set."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.downstream.algorithm import Measured, Measurement, TaskContext
from bacon.downstream.architecture_search.rankings import rank
from bacon.downstream.image_subsets import halves
from bacon.evaluation.train_and_test import measure_network
from bacon.networks.network import Network
from bacon.training.image_set import ImageSet
from bacon.training.run_networks import check_runs, run_network

if TYPE_CHECKING:
    from bacon.downstream.architecture_search.record import ArchitectureSearchSettings


class ArchitectureSearch:
    """The task on one cell."""

    def __init__(self, settings: ArchitectureSearchSettings, context: TaskContext) -> None:
        self._settings, self._context = settings, context
        self._candidates = settings.candidates(context.network.precision)

    def measure(self, repetition: int) -> Measured:
        """One search: a network of each candidate, all with the seed of the repetition."""
        proxies = [self._proxy(repetition, name) for name in self._candidates]
        references = [self._reference(name) for name in self._candidates]
        proxy, reference = (np.array([one["choosing"] for one in each]) for each in (proxies, references))
        found = rank(proxy, reference, np.array([one["reported"] for one in references]), top=self._settings.top)
        share = sum(one["seconds"] for one in proxies) / sum(one["seconds"] for one in references)
        values = {name: value for name, value in vars(found).items() if name != "chosen"} | {"time_share": share}
        measurements = [
            Measurement(metric=name, value=float(value)) for name, value in values.items() if value is not None
        ]
        names = list(self._candidates)
        details = {
            "chosen": names[found.chosen],
            "proxy": dict(zip(names, proxy.tolist(), strict=True)),
            "reference": dict(zip(names, reference.tolist(), strict=True)),
        }
        return Measured(measurements=tuple(measurements), details=details)

    @cached_property
    def _images(self) -> tuple[ImageSet, ImageSet]:
        """Images that rank, and others that accuracies are reported on."""
        context = self._context
        return halves(context.test) if context.validation is None else (context.validation, context.test)

    def _proxy(self, repetition: int, name: str) -> dict[str, Any]:
        context = self._context

        def compute() -> dict[str, float]:
            start = time.perf_counter()
            network = context.train_network(
                context.train, seed=context.seed(repetition), network=self._candidates[name]
            )
            accuracy = self._accuracy(network, self._images[0])
            return {"choosing": accuracy, "seconds": time.perf_counter() - start}

        found: dict[str, Any] = context.kept(f"{repetition}-{name}", compute)
        return found

    def _reference(self, name: str) -> dict[str, Any]:
        """Mean accuracies of the networks trained on the whole set, and the mean time of their training."""
        found: dict[str, Any] = self._context.kept(
            f"reference-{name}", lambda: self._tested(self._context.inputs[name])
        )
        return found

    def _tested(self, runs: TrainedRuns) -> dict[str, float]:
        networks = [self._network(runs, run) for run in range(len(runs))]
        accuracies = np.array([[self._accuracy(network, images) for images in self._images] for network in networks])
        choosing, reported = accuracies.mean(axis=0).tolist()
        seconds = float(np.mean([runs.entry(run).wall_seconds for run in range(len(runs))]))
        return {"choosing": choosing, "reported": reported, "seconds": seconds}

    def _network(self, runs: TrainedRuns, run: int) -> Network:
        context = self._context
        channels, height, _ = context.dataset.test_images.shape[1:]
        check_runs(
            runs,
            run,
            name="candidates",
            where=context.where,
            dataset=context.dataset.name,
            data_fingerprint=context.cell_networks.networks.job.fingerprints.data,
            shape=(channels, height, height),
            classes=context.classes,
        )
        return run_network(runs, run, device=context.device)

    def _accuracy(self, network: Network, images: ImageSet) -> float:
        return measure_network(network, images, classes=self._context.classes).test_accuracy
