"""The cells of a configuration, their settings and what they need trained, under each of its protocols. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Self

from bacon.config.layering import Resolved, evaluation_network, resolve, resolve_protocol
from bacon.config.layers import OtherLayers, kind, same_protocol
from bacon.config.loading import grid_cells, reference_cells
from bacon.config.model import Config
from bacon.config.prepared import PreparedData, prepared_data, prepared_named
from bacon.methods.registry import METHODS
from bacon.plan.titles import Titles
from bacon.plan.trainings import cell_needs, full_set_needs, most_runs
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import DATA, Cell
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_records import PROTOCOLS
from bacon.settings.training_need import TrainingNeed


class GridPlan(Titles):
    """Cells and settings of one configuration.

    Args:
        config: a checked configuration.
        directory: the working directory that paths of own data are relative to.
        headline: the plan of the same grid under the protocol of its headline tables; ``None``: that is this plan.
    """

    def __init__(self, config: Config, directory: Path | str = ".", *, headline: Self | None = None) -> None:
        super().__init__(config)
        self.headline = self if headline is None else headline
        """The plan whose protocol headline tables show; it shares data sets, distilled sets and what they need."""
        self.directory = Path(directory)
        self._resolve = lru_cache(maxsize=None)(self._resolved)
        self._alike: dict[tuple[object, ...], Resolved] = {}
        self._others: dict[tuple[object, ...], OtherLayers] = {}
        self._kind = self._shared("_kind", partial(kind, config))
        self._needs = self._shared("_needs", self._cell_needs)
        self._prepared = self._shared("_prepared", partial(prepared_data, config))
        self._named = self._shared("_named", partial(prepared_named, config))
        self._evaluated: dict[tuple[object, ...], tuple[TrainingNeed, ...]] = {}
        self._teachers = lru_cache(maxsize=None)(self._cell_teachers)
        self._full_set_needs = lru_cache(maxsize=None)(self._reference_needs)

    def _shared(self, name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
        """What no protocol changes, worked out once for the plans of all."""
        known: Callable[..., Any] = (
            lru_cache(maxsize=None)(compute) if self is self.headline else getattr(self.headline, name)
        )
        return known

    @cached_property
    def protocols(self) -> Mapping[str, Self]:
        """Protocol -> the plan of the same grid under it, in the order of tables; this plan among them if it is the headline's.

        Everything about an evaluation under a protocol is asked of that protocol's plan.
        """
        top = self.headline
        if self is not top:
            return top.protocols
        return {
            name: top if name == top.config.protocol else type(top)(top.config.under(name), top.directory, headline=top)
            for name in top.config.evaluated_protocols
        }

    @property
    def has_protocols(self) -> bool:
        """Whether cells are evaluated under several protocols, all of a cell's in one job."""
        return len(self.config.evaluated_protocols) > 1

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The grid's cells, without the full data sets."""
        return grid_cells(self.config) if self is self.headline else self.headline.cells

    @cached_property
    def first_seeds(self) -> Mapping[str, Cell]:
        """Group of cells, such as ``digits/bacon/ipc10`` -> its first cell, in grid order."""
        found: dict[str, Cell] = {}
        for cell in self.cells:
            found.setdefault(f"{cell.dataset}/{cell.method}/ipc{cell.ipc}", cell)
        return found

    @cached_property
    def has_test_curves(self) -> bool:
        """Whether networks of some cell are tested before the end of their training too."""
        return any(self.settings(cell).evaluation.test_curve for cell in self._one_of_each_kind)

    @cached_property
    def references(self) -> tuple[Cell, ...]:
        """The full data set of each data set in the grid."""
        return reference_cells(self.config) if self is self.headline else self.headline.references

    @cached_property
    def _one_of_each_kind(self) -> tuple[Cell, ...]:
        """A cell of each kind, the full data sets first: what depends on settings alone is asked of these."""
        return tuple({self.kind(cell): cell for cell in (*self.references, *self.cells)}.values())

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets that have a cell, in grid order."""
        return tuple(cell.dataset for cell in self.references)

    @cached_property
    def prepared_sets(self) -> Mapping[str, PreparedData]:
        """Name -> each prepared form of each data set: its own, and then the other one where a cell uses it."""
        if self is not self.headline:
            return self.headline.prepared_sets
        found: dict[str, dict[str, PreparedData]] = {name: {name: self._prepared(name)} for name in self.datasets}
        for cell in self._one_of_each_kind:
            found[cell.dataset][self.data_name(cell)] = self.prepared(cell)
        return {name: prepared for forms in found.values() for name, prepared in forms.items()}

    def prepared_set(self, name: str) -> PreparedData:
        """The prepared form of that name, whether a cell of the grid uses it or not."""
        found: PreparedData = self._named(name)
        return found

    def prepared(self, cell: Cell) -> PreparedData:
        """The form of its data set that a cell is distilled from and tested on."""
        found: PreparedData = self._prepared(cell.dataset, self.settings(cell).preprocessing.zca)
        return found

    def data_name(self, cell: Cell) -> str:
        """Name of :meth:`prepared`."""
        return self.prepared(cell).name

    def data_path(self, cell: Cell) -> Path:
        """File of :meth:`prepared`."""
        return Path(DATA.format(dataset=self.data_name(cell)))

    def is_whitened(self, cell: Cell) -> bool:
        """Whether a cell's images are whitened by ZCA."""
        return self.prepared(cell).settings.zca

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
        alike = self.kind(cell)
        if alike not in self._alike:
            self._alike[alike] = self._resolve_kind(cell, alike)
        return self._alike[alike]

    def kind(self, cell: Cell) -> tuple[object, ...]:
        """What cells share that have the same settings: all but the seed, most often."""
        shared: tuple[object, ...] = self._kind(cell)
        return shared

    def _resolve_kind(self, cell: Cell, alike: tuple[object, ...]) -> Resolved:
        """Settings of a cell; under a further protocol, those of the headline's with another evaluation."""
        top = self.headline
        if self is top:
            return resolve(self.config, cell)
        if alike not in top._others:
            top._others[alike] = OtherLayers.of(top.config, cell).for_evaluation()
        return resolve_protocol(self.config, cell, top.resolved(cell), top._others[alike], beside=True)

    def settings(self, cell: Cell) -> CellSettings:
        """Settings of a cell."""
        return self.resolved(cell).settings

    def evaluation_network(self, cell: Cell, network: str) -> NetworkSettings:
        """Settings of a named evaluation network: the cell's own, with the changes under ``networks``."""
        return evaluation_network(self.config, self.settings(cell).network, network)

    def needs(self, cell: Cell) -> tuple[TrainingNeed, ...]:
        """Networks trained on the real set that a cell distils with."""
        needs: tuple[TrainingNeed, ...] = self._needs(cell)
        return needs

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

    def all_evaluation_needs(self, cell: Cell) -> tuple[TrainingNeed, ...]:
        """:meth:`evaluation_needs` of every network under every protocol, the one with the most runs of any that are alike."""
        alike, top = self.kind(cell), self.headline
        if alike not in top._evaluated:
            needs = (
                need
                for plan in self.protocols.values()
                for network in self.networks
                for need in plan.evaluation_needs(cell, network)
            )
            top._evaluated[alike] = tuple(most_runs(needs).values())
        return top._evaluated[alike]

    def full_set_needs(self, cell: Cell, network: str) -> dict[str, TrainingNeed]:
        """Augmentation -> networks that stand for the full data set ``cell``; empty where its evaluation trains them itself."""
        return self._full_set_needs(cell, network) if cell.ipc is None else {}

    def _reference_needs(self, cell: Cell, network: str) -> dict[str, TrainingNeed]:
        return full_set_needs(self.settings(cell).evaluation, self.evaluation_network(cell, network))

    def published_protocol(self, cell: Cell) -> str | None:
        """Which of the configured protocols is the one that a cell's method is published under; ``None``: none of them.

        Protocols with equal settings are one, whatever they are called.
        """
        native = METHODS[self.config.base_method(cell.method)].protocol
        known = [name for name in self.protocols if name in PROTOCOLS]
        return next((name for name in known if same_protocol(self.config, name, native, cell)), None)

    def evaluation_path(self, cell: Cell, network: str) -> Path:
        """A cell's evaluation file under this plan's protocol; that of the headline's lies where it lies without others."""
        return cell.evaluation_path(network, "" if self is self.headline else self.config.protocol)
