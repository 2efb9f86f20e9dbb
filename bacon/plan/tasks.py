"""The downstream tasks of a plan: their settings, the cells they are run for, what they need, and fingerprints. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from bacon.config.downstream_sections import task_settings
from bacon.downstream.base import Task
from bacon.downstream.registry import TASKS
from bacon.plan.fingerprint import digest, fingerprint
from bacon.plan.stage_code import task_modules
from bacon.settings.cells import Cell
from bacon.settings.downstream import SELECTION, TaskSettings
from bacon.settings.training_need import TrainingNeed

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


class PlannedTasks:
    """The downstream tasks of a plan, under its own protocol.

    Args:
        plan: the grid.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.settings = lru_cache(maxsize=None)(self._settings)
        """Name of a task -> its settings."""

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks of the grid, in the order of the registry."""
        return tuple(name for name in TASKS if name in self._plan.config.grid.downstream)

    def task(self, name: str) -> Task:
        """A task's record."""
        return TASKS[name]

    def _settings(self, name: str) -> TaskSettings:
        return task_settings(self._plan.config, name)

    def columns(self, name: str) -> tuple[Any, ...]:
        """Columns of a task's table."""
        return TASKS[name].columns(self.settings(name))

    def cells(self, name: str) -> tuple[Cell, ...]:
        """The cells that a task is run for, the full data sets first; none for a task that is not in the grid."""
        return self._cells.get(name, ())

    @cached_property
    def _cells(self) -> Mapping[str, tuple[Cell, ...]]:
        return {name: self._chosen(name) for name in self.names}

    def _chosen(self, name: str) -> tuple[Cell, ...]:
        patterns, task = self.settings(name).cells, TASKS[name]
        grid = (*(self._plan.references if task.has_full else ()), *self._plan.cells)
        return tuple(cell for cell in grid if not patterns or any(cell.matches(pattern) for pattern in patterns))

    def networks(self, name: str) -> tuple[str, ...]:
        """The evaluation networks that a task is run with; one empty name for a task that is run once for each cell."""
        if not TASKS[name].has_networks:
            return ("",)
        chosen = self.settings(name).networks
        return tuple(network for network in self._plan.networks if not chosen or network in chosen)

    def places(self, name: str) -> tuple[tuple[Cell, str], ...]:
        """(Cell, network) of every file of a task."""
        return tuple((cell, network) for cell in self.cells(name) for network in self.networks(name))

    def network(self, network: str) -> str:
        """The evaluation network that stands behind a name of :meth:`networks`: of an empty one, the grid's first."""
        return network or self._plan.networks[0]

    def repetitions(self, name: str, cell: Cell) -> int:
        """n: how often a task is repeated on a cell."""
        return self.settings(name).seeds or self._plan.settings(cell).evaluation.seeds

    def needs(self, name: str, cell: Cell, network: str) -> tuple[TrainingNeed, ...]:
        """Networks trained on the real set that a task asks for by itself."""
        settings = self._plan.settings(cell)
        return TASKS[name].needs(
            self.settings(name), settings, self._plan.evaluation_network(cell, self.network(network))
        )

    def full_set_need(self, name: str, cell: Cell, network: str) -> TrainingNeed | None:
        """The networks that stand for a full data set; ``None`` for other cells, and where the task trains them itself."""
        if not TASKS[name].uses_trained:
            return None
        found = self._plan.full_set_needs(cell, self.network(network))
        need = found.get(self.augmentation(cell))
        return None if need is None else replace(need, runs=self.repetitions(name, cell))

    def all_needs(self, name: str, cell: Cell, network: str) -> tuple[TrainingNeed, ...]:
        """Everything trained on the real set that a task's job reads."""
        full = self.full_set_need(name, cell, network)
        teachers = self._plan.teachers(cell)
        return (*self.needs(name, cell, network), *([] if full is None else [full]), *teachers)

    def needed(self) -> Iterator[tuple[Cell, tuple[TrainingNeed, ...]]]:
        """Everything that is trained on the real set for tasks: a cell of each kind, and what it needs."""
        for name in self.names:
            for cell in {self._plan.kind(cell): cell for cell in self.cells(name)}.values():
                for network in self.networks(name):
                    yield cell, self.all_needs(name, cell, network)

    def augmentation(self, cell: Cell) -> str:
        """The augmentation of the networks that are tested: the first of the cell's protocol."""
        evaluation = self._plan.settings(cell).evaluation
        return evaluation.recorded_augmentation(evaluation.augmentations[0])

    def augmentation_digest(self, cell: Cell, network: str) -> str:
        """Digest of the code of that augmentation, or of the networks that stand for a full data set; empty: neither."""
        return self._plan.augmentation_code(cell, self.network(network)).get(self.augmentation(cell), "")

    def content(self, name: str, cell: Cell, network: str) -> dict[str, Any]:
        """Settings of a task's file, as it holds them."""
        plan = self._plan
        return {
            "downstream": self._own(name) | {"seeds": self.repetitions(name, cell)},
            "network": plan.evaluation_network(cell, self.network(network)).model_dump(mode="json"),
            "evaluation": plan.settings(cell).evaluation.model_dump(
                mode="json", exclude={"seeds", "snapshot_seeds", "test_curve"}
            ),
        }

    def _own(self, name: str) -> dict[str, Any]:
        return self.settings(name).model_dump(mode="json", exclude=set(SELECTION))

    def fingerprint(self, name: str, cell: Cell, network: str) -> str:
        """Fingerprint of a task's file: its repetitions and how many there are."""
        result = self.result_fingerprint(name, cell, network)
        return digest({"result": result, "repetitions": self.repetitions(name, cell)})

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprint of every file of every task, by what it is."""
        return {
            f"downstream {name} {cell} {network}": self.fingerprint(name, cell, network)
            for name in self.names
            for cell, network in self.places(name)
        }

    def shown(self) -> dict[str, Any]:
        """What tables and figures of the tasks depend on besides their files: what their records say."""
        return {
            name: [
                TASKS[name].title,
                TASKS[name].figure,
                [vars(column) | {"possible": str(column.possible)} for column in self.columns(name)],
                list(TASKS[name].notes(self.settings(name))),
            ]
            for name in self.names
        }

    def result_fingerprint(self, name: str, cell: Cell, network: str) -> str:
        """Fingerprint of each repetition of a task, however many there are."""
        plan, behind = self._plan, self.network(network)
        settings = plan.evaluation_network(cell, behind)
        needs = {
            f"training {need.name}": plan.training_fingerprint(plan.data_name(cell), need)
            for need in self.needs(name, cell, network)
        }
        return fingerprint(
            f"downstream {name}",
            settings={
                "task": self._own(name),
                "augmentation": self.augmentation(cell),
                "lr_search": list(plan.settings(cell).evaluation.lr_search),
            },
            modules=task_modules(TASKS[name], settings),
            inputs={
                "network": plan.record_fingerprint(cell, behind),
                "augmentation": self.augmentation_digest(cell, network),
                **needs,
            },
        )
