"""The plan of a configuration: its cells, their settings, and the fingerprint of every artifact.

Snakemake reads fingerprints from here while it parses, the scripts recompute and compare them, and the aggregator refuses
artifacts that carry another one. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from bacon.config.layering import Resolved, evaluation_network, kind, protocol_name, resolve
from bacon.config.loading import data_settings, grid_cells, reference_cells
from bacon.config.model import Config
from bacon.datasets.registry import REGISTRY
from bacon.datasets.source import reader_module, source_digest
from bacon.methods.figure_places import given_places
from bacon.methods.registry import METHODS
from bacon.plan.code_digest import code_digest
from bacon.plan.fingerprint import digest, fingerprint
from bacon.plan.stage_code import DATA_MODULES, distill_modules, evaluate_modules
from bacon.plan.trainings import (
    PlannedTraining,
    cell_needs,
    full_set_needs,
    most_runs,
    training_fingerprint,
)
from bacon.runtime.errors import BaconError
from bacon.runtime.provenance import installed_versions
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import CACHE, Cell
from bacon.settings.data import DataSettings
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.training_need import TrainingNeed

# Where data lies and what it is called; what it is, is in its source's digest.
DATA_PLACES = frozenset({"path", "title", "archives", "mirrors"})
# Evaluation settings that say which networks are trained, not what any of them is: a record's own key says that.
EVALUATION_COUNTS = frozenset({"seeds", "snapshot_seeds", "augmentations", "lr_search"})


def augmentation_code(evaluation: EvaluationSettings) -> dict[str, str]:
    """Augmentation -> digest of its code: networks trained with another one do not depend on it."""
    return {name: code_digest(own) for name, own in evaluation.augmentation_modules().items() if own}


class Plan:
    """Cells, settings and fingerprints of one configuration.

    Args:
        config: a checked configuration.
        directory: the working directory that paths of own data are relative to.
    """

    def __init__(self, config: Config, directory: Path | str = ".") -> None:
        self.config = config
        self.directory = Path(directory)
        self.packages = installed_versions(config.stale_on_upgrade)
        """Package -> version, of the packages whose upgrade makes results stale."""
        self._resolve = lru_cache(maxsize=None)(self._resolved)
        self._alike: dict[tuple[object, ...], Resolved] = {}
        self._data = lru_cache(maxsize=None)(self._data_fingerprint)
        self._distilled = lru_cache(maxsize=None)(self._distilled_fingerprint)
        self._needs = lru_cache(maxsize=None)(self._cell_needs)
        self._teachers = lru_cache(maxsize=None)(self._cell_teachers)
        self._full_set_needs = lru_cache(maxsize=None)(self._reference_needs)
        self._record = lru_cache(maxsize=None)(self._record_fingerprint)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The grid's cells, without the full data sets."""
        return grid_cells(self.config)

    @cached_property
    def references(self) -> tuple[Cell, ...]:
        """The full data set of each data set in the grid."""
        return reference_cells(self.config)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets that have a cell, in grid order."""
        return tuple(cell.dataset for cell in self.references)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the evaluation networks."""
        return self.config.grid.networks

    def resolved(self, cell: Cell) -> Resolved:
        """Settings of a cell, with the layer each came from."""
        resolved: Resolved = self._resolve(cell)
        return resolved

    def _resolved(self, cell: Cell) -> Resolved:
        """Settings of a cell, worked out once for all cells of its kind."""
        alike = kind(self.config, cell)
        if alike not in self._alike:
            self._alike[alike] = resolve(self.config, cell)
        return self._alike[alike]

    def settings(self, cell: Cell) -> CellSettings:
        """Settings of a cell."""
        return self.resolved(cell).settings

    def evaluation_network(self, cell: Cell, network: str) -> NetworkSettings:
        """Settings of a named evaluation network: the cell's own, with the changes under ``networks``."""
        return evaluation_network(self.config, self.settings(cell).network, network)

    def needs(self, cell: Cell) -> tuple[TrainingNeed, ...]:
        """Networks trained on the real set that a cell distils with."""
        return self._needs(cell)

    def _cell_needs(self, cell: Cell) -> tuple[TrainingNeed, ...]:
        return cell_needs(METHODS[self.config.base_method(cell.method)], self.settings(cell), cell)

    def teachers(self, cell: Cell) -> tuple[TrainingNeed, ...]:
        """Networks trained on the real set that label the batches of a cell's evaluation; none for other labels."""
        return self._teachers(cell)

    def _cell_teachers(self, cell: Cell) -> tuple[TrainingNeed, ...]:
        settings = self.settings(cell)
        return settings.evaluation.needs(settings.network)

    def evaluation_needs(self, cell: Cell, network: str) -> tuple[TrainingNeed, ...]:
        """Networks trained on the real set that a cell's evaluation tests, or that label its batches."""
        return (*self.full_set_needs(cell, network).values(), *self.teachers(cell))

    def full_set_needs(self, cell: Cell, network: str) -> dict[str, TrainingNeed]:
        """Augmentation -> networks that stand for the full data set ``cell``; empty where its evaluation trains them itself."""
        return self._full_set_needs(cell, network) if cell.ipc is None else {}

    def _reference_needs(self, cell: Cell, network: str) -> dict[str, TrainingNeed]:
        return full_set_needs(self.settings(cell).evaluation, self.evaluation_network(cell, network))

    @cached_property
    def trainings(self) -> Mapping[tuple[str, str], PlannedTraining]:
        """(Data set, key) -> everything that is trained on real sets, in the order of data sets; cells share what is alike."""
        needed: dict[str, list[TrainingNeed]] = {dataset: [] for dataset in self.datasets}
        for cell in self.references:
            for network in self.networks:
                needed[cell.dataset] += self.evaluation_needs(cell, network)
        for cell in self.cells:
            needed[cell.dataset] += (*self.needs(cell), *self.teachers(cell))
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
        """The training of a key on a data set; raises :class:`BaconError` when no cell of the plan needs it."""
        found = self.trainings.get((dataset, key))
        if found is None:
            known = ", ".join(f"{name}/{each}" for name, each in self.trainings) or "none"
            raise BaconError(f"no cell of this configuration needs the training runs {dataset}/{key}; it has {known}")
        return found

    def training_of(self, dataset: str, need: TrainingNeed) -> PlannedTraining:
        """The training that meets a need, of a cell of the grid or of another one."""
        planned = self.trainings.get((dataset, need.key))
        if planned is None or planned.need.runs < need.runs:
            return self._training(dataset, need)
        return planned

    def training_fingerprint(self, dataset: str, need: TrainingNeed) -> str:
        """Fingerprint of each run of a need on a data set."""
        return training_fingerprint(need, {"data": self.data_fingerprint(dataset)} | self._package_inputs())

    def data_fingerprint(self, dataset: str) -> str:
        """Fingerprint of a preprocessed data set."""
        return str(self._data(dataset))

    def _data_fingerprint(self, dataset: str) -> str:
        data = data_settings(self.config, dataset)
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
            inputs={"data": self.data_fingerprint(cell.dataset)}
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
        return {f"training {need.name}: {need.runs}": self.training_fingerprint(cell.dataset, need) for need in needs}

    def _package_inputs(self) -> dict[str, str]:
        return {f"package {name}": number for name, number in self.packages.items()}

    def record_fingerprint(self, cell: Cell, network: str) -> str:
        """Fingerprint of each network trained on a cell; with iteration and evaluation seed it names one record."""
        return str(self._record(cell, network))

    def _record_fingerprint(self, cell: Cell, network: str) -> str:
        inputs = {"data": self.data_fingerprint(cell.dataset)} | self._package_inputs()
        inputs |= self._training_inputs(cell, self.teachers(cell))
        if cell.ipc is not None:
            inputs["distilled"] = self.distilled_fingerprint(cell)
        evaluation = self.settings(cell).evaluation
        network_settings = self.evaluation_network(cell, network)
        return fingerprint(
            "evaluate",
            settings={
                "evaluation": evaluation.model_dump(mode="json", exclude={*EVALUATION_COUNTS, "teachers"}),
                "network": network_settings.model_dump(mode="json"),
            },
            modules=(*evaluate_modules(network_settings), *evaluation.shared_modules()),
            inputs=inputs,
        )

    def evaluation_fingerprint(self, cell: Cell, network: str) -> str:
        """Fingerprint of a cell's evaluation file: its records and how many there are."""
        counts = self.settings(cell).evaluation.model_dump(mode="json", include=set(EVALUATION_COUNTS))
        record = self.record_fingerprint(cell, network)
        code = self.augmentation_code(cell, network)
        protocol = protocol_name(self.config, cell.method)
        return digest({"record": record, "counts": counts, "protocol": protocol, "augmentations": code})

    def augmentation_code(self, cell: Cell, network: str) -> dict[str, str]:
        """Augmentation -> digest of its code, or of the networks that were trained with it for the full data set.

        Networks trained with another augmentation do not depend on it.
        """
        trained = {
            name: self.training_fingerprint(cell.dataset, need)
            for name, need in self.full_set_needs(cell, network).items()
        }
        return trained or augmentation_code(self.settings(cell).evaluation)

    def aggregate_fingerprint(self, modules: tuple[str, ...], *, extra: Any = None) -> str:
        """Fingerprint of a table or figure made from every evaluation and distilled set of the grid."""
        grid = (*self.references, *self.cells)
        inputs = {
            f"{cell} {network}": self.evaluation_fingerprint(cell, network)
            for cell in grid
            for network in self.networks
        }
        settings = {"names": sorted({self.names(cell) for cell in grid}, key=str), "target": extra}
        return fingerprint("aggregate", settings=settings, modules=modules, inputs=inputs)

    def dataset_title(self, dataset: str) -> str:
        """Name of a data set in tables and figures."""
        title = data_settings(self.config, dataset).title
        return title or (REGISTRY[dataset].title if dataset in REGISTRY else dataset)

    @staticmethod
    def published_dataset(dataset: str) -> str | None:
        """Name of a data set among the published results; ``None`` when none are published."""
        return REGISTRY[dataset].published_name if dataset in REGISTRY else None

    def method_title(self, method: str) -> str:
        """Name of a method or variant in tables and figures."""
        if method in self.config.variants:
            return self.config.variants[method].title or method
        return METHODS[method].title

    def published_method(self, method: str) -> str | None:
        """Name of a method among the published results; ``None`` for a variant, on which nothing is published."""
        if method in self.config.variants:
            return None
        return METHODS[method].published_name or METHODS[method].title

    @cached_property
    def figure_places(self) -> dict[str, int]:
        """Method -> its place in the figures' sequence of colours and markers; the grid has no say in it."""
        return given_places(METHODS.values())

    @cached_property
    def term_titles(self) -> dict[str, str]:
        """Loss term -> its name in figures, in the order in which the methods of the grid name them."""
        bases = dict.fromkeys(self.config.base_method(cell.method) for cell in self.cells)
        return {term: title for method in bases for term, title in METHODS[method].term_titles.items()}

    def names(self, cell: Cell) -> tuple[Any, ...]:
        """What tables and figures call a cell's data set and method, and how they draw the method: in their fingerprints."""
        dataset, base = cell.dataset, self.config.base_method(cell.method)
        return (
            self.dataset_title(dataset),
            self.published_dataset(dataset),
            self.method_title(cell.method),
            self.published_method(cell.method),
            self.figure_places[base],
            list(self.config.variants).index(cell.method) if cell.method in self.config.variants else None,
            tuple(sorted(METHODS[base].term_titles.items())),
        )


def _irrelevant(data: DataSettings) -> Iterator[str]:
    """Keys of a data set that cannot change what is prepared."""
    yield from DATA_PLACES
    if not data.zca:
        yield "zca_epsilon"
    if data.validation == 0 and data.format != "imagefolder":
        yield "split_seed"
