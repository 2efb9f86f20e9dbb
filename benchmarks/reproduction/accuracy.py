"""Accuracy of a cell's images under a protocol, beside what is published; each network is trained once ever."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bacon.artifacts.evaluation_records import Record
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.store import ImageDataset
from bacon.evaluation.evaluate_cell import train_all, training_images
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.evaluation.trained_networks import Networks
from bacon.jobs.training_inputs import trained_runs
from bacon.plan.plan import Plan
from bacon.reporting.targets import PUBLISHED
from bacon.settings.cells import CACHE
from bacon.training.image_set import ImageSet
from benchmarks.reproduction.target import NETWORK, Target


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is published on a cell.

    Attributes:
        percent: the preferred number; ``None``: none is published with this network, or it cannot be read.
        std: its standard deviation, where one is given.
        source: who says so, and with which network; or why there is none.
        others: further published numbers, in percent.
    """

    percent: float | None
    std: float | None = None
    source: str = ""
    others: tuple[float, ...] = ()


def published(target: Target) -> Published:
    """The published accuracy of a cell, with the network that it is evaluated with."""
    try:
        from bacon.reporting.collect.published import PublishedResults  # it needs pandas, which a bare machine may lack
    except ModuleNotFoundError as error:
        return Published(percent=None, source=f"cannot be read without {error.name}")
    plan, cell = target.plan, target.cell
    key: dict[str, Any] = {
        "published_method": plan.published_method(cell.method),
        "published_dataset": plan.published_dataset(cell.dataset),
        "ipc": cell.ipc,
        "network": target.network_name,
    }
    results = PublishedResults.read(PUBLISHED)
    found = results.find(**key)
    if found is None:
        return Published(percent=None, source=f"nothing published with {target.network_name}")
    numbers = dict.fromkeys(float(value) for value in results.all_of(**key)["accuracy_percent"])
    return Published(
        percent=found.accuracy_percent,
        std=found.std_percent,
        source="; ".join(part for part in (found.source, found.architecture, found.note) if part),
        others=tuple(number for number in numbers if number != found.accuracy_percent),
    )


def evaluate(
    target: Target, protocol: str, images: Mapping[int, SyntheticSet], device: torch.device, *, networks: int
) -> list[dict[str, Any]]:
    """One row for each iteration, in percent: mean and standard deviation over networks.

    Args:
        target: the cell.
        protocol: one of its plans'.
        images: iteration -> synthetic set.
        device: where networks are trained.
        networks: trained for each iteration, with each of the protocol's augmentations.

    Raises:
        BaconError: the network does not fit the images, or training diverged.
    """
    plan, cell = target.plans[protocol], target.cell
    *earlier, last = sorted(images)

    def training_set(dataset: ImageDataset, iteration: int) -> ImageSet:
        return training_images(images[iteration], dataset, device)

    job = _job(plan, target, protocol, device, networks)
    records, _ = train_all(Networks(job, training_set, target.data, final=last), earlier)
    by_iteration: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_iteration[record.iteration].append(record)
    return [
        {"cell": str(cell), "protocol": protocol, "iteration": iteration, **_figures(by_iteration[iteration])}
        for iteration in sorted(by_iteration)
    ]


def _job(plan: Plan, target: Target, protocol: str, device: torch.device, networks: int) -> EvaluationJob:
    cell = target.cell
    evaluation = plan.settings(cell).evaluation
    return EvaluationJob(
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        network_name=NETWORK,
        network=plan.evaluation_network(cell, NETWORK),
        evaluation=evaluation.model_copy(update={"seeds": networks, "snapshot_seeds": networks}),
        protocol=protocol,
        fingerprints=EvaluationFingerprints(
            rule=plan.evaluation_fingerprint(cell, NETWORK),
            record=plan.record_fingerprint(cell, NETWORK),
            augmentations=plan.augmentation_code(cell, NETWORK),
            data=plan.cell_data_fingerprint(cell),
            distilled=plan.distilled_fingerprint(cell),
        ),
        cache=plan.directory / CACHE / "evaluation",
        device=device,
        teachers=tuple(trained_runs(plan, cell, need) for need in plan.teachers(cell)),
    )


def _figures(records: Sequence[Record]) -> dict[str, Any]:
    """Of the networks of one iteration; with several augmentations, a seed's accuracy is the mean over them."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for record in records:
        by_seed[record.evaluation_seed].append(100 * record.test_accuracy)
    values = [statistics.mean(accuracies) for accuracies in by_seed.values()]
    return {
        "networks": len(values),
        "accuracy_percent": statistics.mean(values),
        "std_percent": statistics.stdev(values) if len(values) > 1 else None,
        "seconds_per_network": statistics.mean(record.wall_seconds for record in records),
    }
