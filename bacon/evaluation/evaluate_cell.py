"""Evaluate one cell: train networks on its images, each network once ever, and write the cell's evaluation file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.distilled_file import DistillationResult, read_distilled
from bacon.artifacts.evaluation_records import Record, RecordKey, write_evaluation
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.artifacts.trained_runs import TrainedRuns, training_costs
from bacon.datasets.store import ImageDataset
from bacon.evaluation.evaluation_inputs import EvaluationJob
from bacon.evaluation.full_set import FullSetNetworks
from bacon.evaluation.rate_search import choose_rates
from bacon.evaluation.trained_networks import Networks, image_set
from bacon.runtime.devices import device_name, is_deterministic
from bacon.runtime.provenance import provenance
from bacon.training.batches import ImageSet
from bacon.training.run_networks import at_chance, weight_bytes


def evaluate_distilled(job: EvaluationJob, *, distilled_path: Path, data_path: Path, output: Path) -> None:
    """Evaluate a distilled set: its final images with every evaluation seed, earlier snapshots with the first few.

    A finished network goes into the cache at once: a killed job resumes, and one more seed costs one more
    network.

    Args:
        job: what is evaluated and how.
        distilled_path: the distilled set.
        data_path: the preprocessed data set, whose test images are used.
        output: the evaluation file to write (JSON).

    Raises:
        BaconError: an input is damaged or has another fingerprint, the network does not fit, or training diverged.
    """
    distilled = read_distilled(distilled_path, expected_fingerprint=job.fingerprints.distilled)
    networks, synthetic = networks_on(job, distilled, data_path), distilled.synthetic
    earlier = sorted(iteration for iteration in distilled.snapshots if iteration < networks.final)
    rates, images, classes = synthetic.rates, len(synthetic) * synthetic.partition**2, len(synthetic.classes.unique())
    carried = {
        "labels": synthetic.soft_kind or "classes",
        "learned_rates": 0 if rates is None else len(rates),
        "views": views_seen(job, images=images, classes=classes),
        "work": training_work(job, images=images, classes=classes, rates=() if rates is None else rates.tolist()),
    }
    _evaluate(job, networks, earlier, output, carried)


def evaluate_full(
    job: EvaluationJob, *, data_path: Path, output: Path, trained: Mapping[str, TrainedRuns] | None = None
) -> None:
    """Evaluate the full training set, the upper reference; as :func:`evaluate_distilled`, at iteration 0.

    Args:
        job: what is evaluated and how.
        data_path: the preprocessed data set.
        output: the evaluation file to write (JSON).
        trained: augmentation -> the networks trained with it, run i for evaluation seed i; ``None``: they are trained here.

    Raises:
        BaconError: as :func:`evaluate_distilled`.
    """
    if trained:
        networks = FullSetNetworks(job, data_path, trained)
        records, selection = train_all(networks)
        content = evaluation_content(job, selection) | {
            "training_fingerprints": {runs.key: runs.fingerprint for runs in trained.values()},
            "testing_seconds": networks.testing_seconds,
        }
        write_evaluation(output, content, records)
        return

    def training_set(dataset: ImageDataset, _: int) -> ImageSet:
        return image_set(dataset.train_images, dataset.train_labels, dataset, job.device, job.placement)

    _evaluate(job, Networks(job, training_set, data_path, final=0, full=True), [], output)


def _evaluate(
    job: EvaluationJob,
    networks: Networks,
    earlier: Sequence[int],
    output: Path,
    carried: Mapping[str, Any] | None = None,
) -> None:
    """Train every network that the protocol asks for and write the file, with what the images carry besides classes."""
    records, selection = train_all(networks, earlier)
    write_evaluation(output, evaluation_content(job, selection, **(carried or {})), records)


def train_all(networks: Networks, earlier: Sequence[int] = ()) -> tuple[list[Record], dict[str, Any] | None]:
    """Every network that the job's protocol asks for.

    Args:
        networks: trains them.
        earlier: iterations before the last one that are evaluated with ``snapshot_seeds``.

    Returns:
        The records, by iteration, then evaluation seed, then augmentation; and what the validation split chose.
    """
    evaluation = networks.job.evaluation
    names = [evaluation.recorded_augmentation(name) for name in evaluation.augmentations]
    rates, selection = choose_rates(networks, evaluation, names)
    seeds = [*((iteration, evaluation.snapshot_seeds) for iteration in earlier), (networks.final, evaluation.seeds)]
    wanted = [
        network_key(networks, iteration, seed, name, rates)
        for iteration, count in seeds
        for seed in range(count)
        for name in names
    ]
    return networks.records(wanted), selection


def network_key(
    networks: Networks, iteration: int, seed: int, augmentation: str, rates: Mapping[str, float]
) -> RecordKey:
    """The name of a network: on the images of ``iteration``, with the rate of its augmentation, or the images' learned one."""
    is_learned = networks.job.evaluation.lr == "learned"
    return RecordKey(
        iteration=iteration,
        evaluation_seed=seed,
        augmentation=augmentation,
        lr_net=networks.learned_rate(iteration) if is_learned else rates[augmentation],
    )


def networks_on(job: EvaluationJob, distilled: DistillationResult, data_path: Path) -> Networks:
    """The networks of a job on the images of a distilled set."""
    final = int(distilled.attributes["iterations"])

    def training_set(dataset: ImageDataset, iteration: int) -> ImageSet:
        return decoded(distilled, dataset, iteration, final, job.device)

    return Networks(job, training_set, data_path, final=final)


def decoded(
    distilled: DistillationResult, dataset: ImageDataset, iteration: int, final: int, device: torch.device
) -> ImageSet:
    """The training images of one iteration of a distilled set, whose last one is ``final``, with their labels of then."""
    stored = distilled.synthetic if iteration == final else distilled.snapshots[iteration]
    return training_images(stored, dataset, device)


def training_images(stored: SyntheticSet, dataset: ImageDataset, device: torch.device) -> ImageSet:
    """What networks are trained on: the decoded images of a synthetic set with their classes and soft labels."""
    training = stored.to(device).decoded()
    return ImageSet.of_normalised(
        training.images,
        training.classes,
        mean=dataset.mean,
        std=dataset.std,
        whitened=dataset.whitening is not None,
        soft=training.soft,
        soft_kind=training.soft_kind,
        rates=() if training.rates is None else training.rates.tolist(),
    )


def evaluation_content(
    job: EvaluationJob,
    selection: Mapping[str, Any] | None,
    *,
    labels: str = "classes",
    learned_rates: int = 0,
    views: int = 0,
    work: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What an evaluation file says besides its records.

    Args:
        job: what was evaluated and how.
        selection: what the validation split chose.
        labels: what the images carry: ``classes`` alone, or soft labels besides (``probabilities`` or ``logits``); whether
            networks were trained with them is for the settings to say.
        learned_rates: number of learned learning rates that the images carry; whether they were used is for the
            settings to say.
        views: augmented images that a network sees, each with a label of its own where teachers label them.
        work: of training a network, as :func:`training_work` says it; ``None``: it was trained elsewhere.
    """
    return {
        "fingerprint": job.fingerprints.rule,
        "dataset": job.dataset,
        "method": job.method,
        "ipc": job.ipc,
        "seed": job.seed,
        "network": job.network_name,
        "protocol": job.protocol,
        "settings": {
            "network": job.network.model_dump(mode="json"),
            "evaluation": job.evaluation.model_dump(mode="json"),
        },
        "labels": labels,
        "learned_rates": learned_rates,
        "selection": selection,
        "distilled_fingerprint": job.fingerprints.distilled,
        "data_fingerprint": job.fingerprints.data,
        "provenance": provenance(device_name(job.device), deterministic=is_deterministic(job.device)),
        **(work or {}),
    } | teacher_content(job.teachers, views)


def views_seen(job: EvaluationJob, *, images: int, classes: int) -> int:
    """Augmented images that a network trained on ``images`` images sees in all, the most of any augmentation."""
    each = (job.evaluation.with_augmentation(name, 1.0) for name in job.evaluation.augmentations)
    return max(own.passes(images=images, classes=classes) for own in each) * images


def training_work(
    job: EvaluationJob, *, images: int, classes: int, rates: Sequence[float] = ()
) -> dict[str, dict[str, int]]:
    """What training one network on ``images`` images takes, under names that records give the augmentations.

    Returns:
        ``steps``: augmentation -> steps of the optimiser; ``images_seen``: augmentation -> images of all their batches. Both
        are 0 where a regression predicts and no network is trained.
    """
    evaluation = job.evaluation
    trains = evaluation.regression == "none"
    recipes = {
        evaluation.recorded_augmentation(name): evaluation.with_augmentation(name, 1.0).recipe(
            images=images, classes=classes, rates=rates
        )
        for name in evaluation.augmentations
    }
    return {
        "steps": {name: recipe.total_steps(images) if trains else 0 for name, recipe in recipes.items()},
        "images_seen": {name: recipe.images_seen(images) if trains else 0 for name, recipe in recipes.items()},
    }


def teacher_content(teachers: Sequence[TrainedRuns], views: int) -> dict[str, Any]:
    """What an evaluation file says of the teachers that labelled its batches; nothing where there are none.

    ``view_label_bytes`` is what the labels of one network's ``views`` would take if they were stored, as float32 logits.
    """
    if not teachers:
        return {}
    classes = int(teachers[0].attributes(0)["classes"])
    each = [(runs, run) for runs in teachers for run in range(len(runs))]
    return {
        "training_fingerprints": {runs.key: runs.fingerprint for runs in teachers},
        "training_costs": training_costs(teachers),
        "view_label_bytes": 4 * views * classes,
        "teacher_bytes": sum(weight_bytes(runs, run) for runs, run in each),
        "teachers_at_chance": [f"{runs.key} run {run}" for runs, run in each if _at_chance(runs, run)],
    }


def _at_chance(runs: TrainedRuns, run: int) -> bool:
    about = runs.attributes(run)
    return at_chance(runs, run, classes=about["classes"], images=about["images"])
