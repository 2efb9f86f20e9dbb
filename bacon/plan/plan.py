"""The plan of a configuration: its cells, their settings, and the fingerprint of every artifact.

Snakemake reads fingerprints from here while it parses, the scripts recompute and compare them, and the aggregator refuses
artifacts that carry another one. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Self

from bacon.config.layers import protocol_name
from bacon.config.loading import data_settings
from bacon.config.model import Config
from bacon.datasets.source import reader_module, source_digest
from bacon.methods.registry import METHODS
from bacon.plan.code_digest import code_digest
from bacon.plan.fingerprint import DigestOf, digest, fingerprint, fingerprint_content
from bacon.plan.grid_plan import GridPlan
from bacon.plan.stage_code import DATA_MODULES, distill_modules, evaluate_modules
from bacon.plan.tasks import PlannedTasks
from bacon.plan.trainings import (
    PlannedTraining,
    most_runs,
    training_fingerprint,
)
from bacon.runtime.errors import BaconError
from bacon.runtime.provenance import installed_versions
from bacon.settings.cells import CACHE, Cell
from bacon.settings.data import DataSettings
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.training_need import TrainingNeed

# Where data lies and what it is called; what it is, is in its source's digest.
DATA_PLACES = frozenset({"path", "title", "archives", "mirrors"})
# Evaluation settings that say which networks are trained, not what any of them is: a record's own key says that.
EVALUATION_COUNTS = frozenset({"seeds", "snapshot_seeds", "augmentations", "lr_search"})


def augmentation_code(evaluation: EvaluationSettings) -> dict[str, str]:
    """Augmentation -> digest of its code: networks trained with another one do not depend on it."""
    return {name: code_digest(own) for name, own in evaluation.augmentation_modules().items() if own}


class Plan(GridPlan):
    """Cells, settings and fingerprints of one configuration.

    Args:
        config: a checked configuration.
        directory: the working directory that paths of own data are relative to.
        headline: the plan of the same grid under the protocol of its headline tables; ``None``: that is this plan.
    """

    def __init__(self, config: Config, directory: Path | str = ".", *, headline: Self | None = None) -> None:
        super().__init__(config, directory, headline=headline)
        self.packages = installed_versions(config.stale_on_upgrade)
        """Package -> version, of the packages whose upgrade makes results stale."""
        self._data = self._shared("_data", self._data_fingerprint)
        self._distilled = self._shared("_distilled", self._distilled_fingerprint)
        self._evaluation = lru_cache(maxsize=None)(self._evaluation_fingerprint)
        self._index = lru_cache(maxsize=None)(self._index_fingerprint)
        self._records: dict[tuple[object, ...], DigestOf] = {}
        self._files: dict[tuple[object, ...], DigestOf] = {}
        self._record = lru_cache(maxsize=None)(self._record_fingerprint)

    @cached_property
    def tasks(self) -> PlannedTasks:
        """The downstream tasks, under the protocol of the headline tables."""
        return PlannedTasks(self) if self is self.headline else self.headline.tasks

    @cached_property
    def trainings(self) -> Mapping[tuple[str, str], PlannedTraining]:
        """(Prepared data set, key) -> everything that is trained on real sets, in their order; cells share what is alike."""
        if self is not self.headline:
            return self.headline.trainings
        needed: dict[str, list[TrainingNeed]] = {name: [] for name in self.prepared_sets}
        plans = self.protocols.values()
        for cell in self.references:
            for network in self.networks:
                needed[self.data_name(cell)] += (
                    need for plan in plans for need in plan.evaluation_needs(cell, network)
                )
        for cell in {self.kind(cell): cell for cell in reversed(self.cells)}.values():
            needed[self.data_name(cell)] += (
                *self.needs(cell),
                *(need for plan in plans for need in plan.teachers(cell)),
            )
        for cell, needs in self.tasks.needed():
            needed[self.data_name(cell)] += needs
        return {
            (dataset, key): self._training(dataset, need)
            for dataset, needs in needed.items()
            for key, need in most_runs(needs).items()
        }

    def _training(self, dataset: str, need: TrainingNeed) -> PlannedTraining:
        return PlannedTraining(
            dataset=dataset,
            need=need,
            fingerprint=self.training_fingerprint(dataset, need),
            runs_per_job=self.config.run.runs_per_job,
        )

    def training(self, dataset: str, key: str) -> PlannedTraining:
        """The training of a key on a prepared data set; raises :class:`BaconError` when no cell of the plan needs it."""
        found = self.trainings.get((dataset, key))
        if found is None:
            known = ", ".join(f"{name}/{each}" for name, each in self.trainings) or "none"
            raise BaconError(f"no cell of this configuration needs the training runs {dataset}/{key}; it has {known}")
        return found

    def training_of(self, dataset: str, need: TrainingNeed) -> PlannedTraining:
        """The training on a prepared data set that meets a need, of a cell of the grid or of another one."""
        planned = self.trainings.get((dataset, need.key))
        if planned is None or planned.need.runs < need.runs:
            return self._training(dataset, need)
        return planned

    def training_fingerprint(self, dataset: str, need: TrainingNeed) -> str:
        """Fingerprint of each run of a need on a prepared data set."""
        return training_fingerprint(need, {"data": self.data_fingerprint(dataset)} | self._package_inputs())

    def data_fingerprint(self, dataset: str) -> str:
        """Fingerprint of a prepared data set, by the name of its form (:meth:`data_name`)."""
        return str(self._data(dataset))

    def cell_data_fingerprint(self, cell: Cell) -> str:
        """Fingerprint of the form of its data set that a cell uses."""
        return self.data_fingerprint(self.data_name(cell))

    def _data_fingerprint(self, name: str) -> str:
        prepared = self.prepared_set(name)
        dataset, data = prepared.dataset, prepared.settings
        return fingerprint(
            "data",
            settings=data.model_dump(mode="json", exclude=set(_irrelevant(data))) | {"name": dataset},
            modules=(*DATA_MODULES, reader_module(dataset, data)),
            inputs={"source": self.source(dataset)} | self._package_inputs(),
        )

    def source(self, dataset: str) -> str:
        """Digest of the raw bytes that a data set is made from."""
        data = data_settings(self.config, dataset)
        return str(source_digest(dataset, data, cache=self.directory / CACHE / "sources.json"))

    def distilled_fingerprint(self, cell: Cell) -> str:
        """Fingerprint of a cell's distilled set."""
        return str(self._distilled(cell))

    def _distilled_fingerprint(self, cell: Cell) -> str:
        settings = self.settings(cell)
        plain: dict[str, Any] = settings.model_dump(mode="json", by_alias=True, include={"network", "distillation"})
        return fingerprint(
            "distill",
            settings=plain | {"ipc": cell.ipc, "seed": cell.seed},
            modules=distill_modules(METHODS[self.config.base_method(cell.method)], settings.network),
            inputs={"data": self.cell_data_fingerprint(cell)}
            | self._package_inputs()
            | self._training_inputs(cell, self.needs(cell)),
        )

    def same_set(self, cell: Cell) -> Cell | None:
        """The cell of a variant's method whose distilled set is the variant's own, because it evaluates otherwise alone.

        ``None`` for a method, and where the method's cell is not in the grid, comes after the variant's, or is distilled
        otherwise.
        """
        base, methods = self.config.base_method(cell.method), self.config.grid.methods
        if base == cell.method or base not in methods or cell.method not in methods:
            return None
        own = Cell(cell.dataset, base, cell.ipc, cell.seed)
        if methods.index(base) > methods.index(cell.method) or own not in self._in_grid:
            return None
        return own if self.distilled_fingerprint(own) == self.distilled_fingerprint(cell) else None

    @cached_property
    def _in_grid(self) -> frozenset[Cell]:
        return frozenset(self.cells)

    def _training_inputs(self, cell: Cell, needs: tuple[TrainingNeed, ...]) -> dict[str, str]:
        """What each need is called, with the number of its runs -> fingerprint of the runs."""
        return {
            f"training {need.name}: {need.runs}": self.training_fingerprint(self.data_name(cell), need)
            for need in needs
        }

    def _package_inputs(self) -> dict[str, str]:
        return {f"package {name}": number for name, number in self.packages.items()}

    def record_fingerprint(self, cell: Cell, network: str) -> str:
        """Fingerprint of each network trained on a cell; with iteration and evaluation seed it names one record."""
        return str(self._record(cell, network))

    def _record_fingerprint(self, cell: Cell, network: str) -> str:
        if cell.ipc is None:
            return digest(self._record_content(cell, network, None))
        alike = (*self.kind(cell), network)
        if alike not in self._records:
            self._records[alike] = DigestOf(partial(self._record_content, cell, network))
        return self._records[alike](self.distilled_fingerprint(cell))

    def _record_content(self, cell: Cell, network: str, distilled: str | None) -> dict[str, Any]:
        inputs = {"data": self.cell_data_fingerprint(cell)} | self._package_inputs()
        inputs |= self._training_inputs(cell, self.teachers(cell))
        if distilled is not None:
            inputs["distilled"] = distilled
        evaluation = self.settings(cell).evaluation
        # Without points the record holds none: it is what it was before there were any.
        left_out = {*EVALUATION_COUNTS, "teachers", *(() if evaluation.test_curve else ("test_curve",))}
        network_settings = self.evaluation_network(cell, network)
        return fingerprint_content(
            "evaluate",
            settings={
                "evaluation": evaluation.model_dump(mode="json", exclude=left_out),
                "network": network_settings.model_dump(mode="json"),
            },
            modules=(*evaluate_modules(network_settings), *evaluation.shared_modules()),
            inputs=inputs,
        )

    def evaluation_fingerprint(self, cell: Cell, network: str) -> str:
        """Fingerprint of a cell's evaluation file: its records and how many there are."""
        return str(self._evaluation(cell, network))

    def evaluations_fingerprint(self, cell: Cell) -> str:
        """Fingerprint of the index of a cell's evaluation files under all protocols: which they are, and where."""
        return str(self.headline._index(cell))

    def _index_fingerprint(self, cell: Cell) -> str:
        folders = {"" if plan is self.headline else name: plan for name, plan in self.protocols.items()}
        return digest(
            {
                f"{folder}/{network}": plan.evaluation_fingerprint(cell, network)
                for folder, plan in folders.items()
                for network in self.networks
            }
        )

    def _evaluation_fingerprint(self, cell: Cell, network: str) -> str:
        alike = (*self.kind(cell), network)
        if alike not in self._files:
            self._files[alike] = DigestOf(partial(self._evaluation_content, cell, network))
        return self._files[alike](self.record_fingerprint(cell, network))

    def _evaluation_content(self, cell: Cell, network: str, record: str) -> dict[str, Any]:
        counts = self.settings(cell).evaluation.model_dump(mode="json", include=set(EVALUATION_COUNTS))
        code = self.augmentation_code(cell, network)
        protocol = protocol_name(self.config, cell.method)
        return {"record": record, "counts": counts, "protocol": protocol, "augmentations": code}

    def augmentation_code(self, cell: Cell, network: str) -> dict[str, str]:
        """Augmentation -> digest of its code, or of the networks that were trained with it for the full data set.

        Networks trained with another augmentation do not depend on it.
        """
        trained = {
            name: self.training_fingerprint(self.data_name(cell), need)
            for name, need in self.full_set_needs(cell, network).items()
        }
        return trained or augmentation_code(self.settings(cell).evaluation)

    def aggregate_fingerprint(self, modules: tuple[str, ...], *, extra: Any = None) -> str:
        """Fingerprint of a table or figure made from every evaluation and distilled set of the grid."""
        grid = (*self.references, *self.cells)
        settings = {"names": sorted({self.names(cell) for cell in grid}, key=str), "target": extra}
        if self.has_protocols:
            settings["protocols"] = [[name, self.config.protocol_title(name)] for name in self.protocols]
        if self.tasks.names:
            settings["downstream"] = self.tasks.shown()
        inputs = {**self._evaluations, **self.tasks.fingerprints}
        return fingerprint("aggregate", settings=settings, modules=modules, inputs=inputs)

    @cached_property
    def _evaluations(self) -> Mapping[str, str]:
        """What every table is made from: the evaluation files, or with several protocols the index of each cell's."""
        grid = (*self.references, *self.cells)
        if self.has_protocols:
            return {str(cell): self.evaluations_fingerprint(cell) for cell in grid}
        return {
            f"{cell} {network}": self.evaluation_fingerprint(cell, network)
            for cell in grid
            for network in self.networks
        }


def _irrelevant(data: DataSettings) -> Iterator[str]:
    """Keys of a data set that cannot change what is prepared."""
    yield from DATA_PLACES
    if not data.zca:
        yield "zca_epsilon"
    # Of a folder and of arrays, the test set may be drawn too.
    if data.validation == 0 and data.format not in ("imagefolder", "npz"):
        yield "split_seed"
