"""The networks that a plan trains on real sets: what its cells need, in which jobs, and their fingerprints. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bacon.methods.base import Method
from bacon.plan.fingerprint import digest, fingerprint
from bacon.plan.stage_code import train_modules
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import RunBlock
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.training_need import TrainingNeed, blocks

FULL_SET = "evaluation"
"""Name of the needs of the full training set, and purpose of their draws: they are trained as evaluation trains."""


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """Networks that are trained on one data set, with as many runs as any cell of the plan needs.

    Attributes:
        dataset: name of the prepared data set (``Plan.data_name``).
        need: what is trained and kept.
        fingerprint: of each run, however many there are.
        runs_per_job: networks that a job trains.
    """

    dataset: str
    need: TrainingNeed
    fingerprint: str
    runs_per_job: int

    @property
    def blocks(self) -> tuple[RunBlock, ...]:
        """What each job trains."""
        pairs = blocks(self.need.runs, self.runs_per_job)
        return tuple(RunBlock(self.dataset, self.need.key, first, last) for first, last in pairs)

    def blocks_with(self, runs: int) -> tuple[RunBlock, ...]:
        """The jobs that train the first ``runs`` runs, and perhaps others with them."""
        return tuple(block for block in self.blocks if block.first < runs)

    def block_fingerprint(self, block: RunBlock) -> str:
        """Fingerprint of the index of a block."""
        return digest({"training": self.fingerprint, "first": block.first, "last": block.last})


def training_fingerprint(need: TrainingNeed, inputs: Mapping[str, str]) -> str:
    """Fingerprint of each run of a need; ``inputs`` are those of the data set."""
    return fingerprint("train", settings=need.identity(), modules=train_modules(need), inputs=inputs)


def cell_needs(method: Method, settings: CellSettings, where: object) -> tuple[TrainingNeed, ...]:
    """What a method's cell needs; raises :class:`BaconError` where two of its needs have one name."""
    needs = method.needs(settings)
    names = [need.name for need in needs]
    if len(set(names)) < len(names):
        raise BaconError(
            f"{where}: the record of {method.name} names its training needs {', '.join(names)}; each name must be "
            "different"
        )
    return needs


def full_set_needs(evaluation: EvaluationSettings, network: NetworkSettings) -> dict[str, TrainingNeed]:
    """Augmentation, as records name it -> the networks that stand for the full training set.

    Empty where which networks are trained is known only with the data at hand: with a search for the learning rate, and with
    epochs or batches that depend on the number of images; where they begin with a fixed network; and where none is
    trained. Such networks are the evaluation's own, as those of a cell are.
    """
    depends_on_data = bool(evaluation.epochs_by_images) or evaluation.order == "one_per_class"
    if depends_on_data or evaluation.lr_search or evaluation.lr != "fixed" or evaluation.labels == "teacher":
        return {}
    if evaluation.regression != "none" or evaluation.initialisation == "fixed":
        return {}
    return {
        evaluation.recorded_augmentation(name): TrainingNeed(
            name=FULL_SET,
            network=network,
            recipe=evaluation.with_augmentation(name, evaluation.lr_net).recipe(images=1, classes=1),
            runs=evaluation.seeds,
            purpose=FULL_SET,
        )
        for name in evaluation.augmentations
    }


def most_runs(needs: Iterable[TrainingNeed]) -> dict[str, TrainingNeed]:
    """Key -> the need with the most runs of any that share it."""
    found: dict[str, TrainingNeed] = {}
    for need in needs:
        known = found.get(need.key)
        if known is None:
            found[need.key] = need
        elif need.runs > known.runs:
            found[need.key] = replace(known, runs=need.runs)
    return found
