"""What is reproduced: a cell with its published settings, its data set, and the protocols that evaluate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bacon.config.layering import evaluation_network
from bacon.config.loading import check_config
from bacon.config.presets import NETWORKS
from bacon.config.reading import read_file
from bacon.methods.base import Method
from bacon.methods.registry import METHODS
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.training_need import TrainingNeed
from benchmarks.reproduction.data import Source, fingerprint_in, found_source, prepared_file

COMPARABLE = "p-dsa"
"""The protocol that every method is evaluated with."""
NETWORK = "convnet"
"""The evaluation network's name in a plan: the network that the cell is distilled with."""


class PreparedPlan(Plan):
    """The plan of a cell whose data set is prepared: its file says what it was made from, whether or not that is still here.

    Args:
        plan: a plan of the cell.
        data: the prepared data set.
    """

    def __init__(self, plan: Plan, data: Path) -> None:
        super().__init__(plan.config, plan.directory)
        self._fingerprint = fingerprint_in(data)

    def data_fingerprint(self, dataset: str) -> str:
        """The fingerprint that the file carries."""
        del dataset  # the plan has one
        return self._fingerprint


@dataclass(frozen=True, kw_only=True)
class Request:
    """What holds for every cell of a call.

    Attributes:
        data: folder of data sets.
        folder: where state, networks and records are kept.
        config: configuration to take settings from; ``None``: those that each method's authors published.
        zca: images are whitened, whether or not the settings of a cell ask for it.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
    """

    data: Path
    folder: Path
    config: Path | None = None
    zca: bool = False
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cell that is reproduced.

    Attributes:
        cell: the cell.
        data: its prepared data set.
        plans: protocol -> plan; the comparable protocol first, then the method's own if that is another one.
        missing: protocol that is left out -> why.
    """

    cell: Cell
    data: Path
    plans: Mapping[str, Plan]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The plan that distillation follows; its protocol does not concern it."""
        return self.plans[COMPARABLE]

    @property
    def needs(self) -> list[tuple[Plan, TrainingNeed]]:
        """Networks trained on the real set that the method needs, or that label batches in evaluation, with a plan of each."""
        wanted = [(self.plan, need) for need in self.plan.needs(self.cell)]
        wanted += [(plan, need) for plan in self.plans.values() for need in plan.teachers(self.cell)]
        found: dict[str, tuple[Plan, TrainingNeed]] = {}
        for plan, need in wanted:
            if need.key not in found or found[need.key][1].runs < need.runs:
                found[need.key] = plan, need
        return list(found.values())

    @property
    def method(self) -> Method:
        """The record of the cell's method."""
        return METHODS[self.plan.config.base_method(self.cell.method)]

    @property
    def settings(self) -> CellSettings:
        """The cell's settings, with the comparable protocol."""
        return self.plan.settings(self.cell)

    @property
    def network_name(self) -> str:
        """Name of the network among published results: ``convnet``, or an architecture's."""
        own = self.settings.network
        if own.architecture == "convnet":
            return NETWORK
        config = self.plan.config
        alike = (name for name in NETWORKS if evaluation_network(config, own, name) == own)
        return next(alike, own.architecture)


def parsed_cell(text: str) -> Cell:
    """The cell called ``cifar10/dc/ipc10``, with seed 0 unless named; raises :class:`BaconError` for anything else."""
    cell = Cell.parse(text if "/seed" in text else f"{text}/seed0")
    if cell.ipc is None:
        raise BaconError(f"--cell {text}: the full data set is not distilled; name DATASET/METHOD/ipcN")
    return cell


def make_target(cell: Cell, request: Request) -> Target:
    """The cell with its plans, its data set prepared where only raw files are there.

    Raises:
        BaconError: a setting is not allowed, or the data set is not there or not what it should be.
    """
    source = found_source(cell.dataset, request.data)
    zca = _plan(cell, request, source, COMPARABLE).is_whitened(cell)
    source = found_source(cell.dataset, request.data, zca=zca)
    first = _plan(cell, request, source, COMPARABLE)
    data = prepared_file(cell, source, first)
    plans: dict[str, Plan] = {COMPARABLE: PreparedPlan(first, data)}
    missing = {}
    own = METHODS[first.config.base_method(cell.method)].protocol
    if own != COMPARABLE:
        try:
            native: Plan = PreparedPlan(_plan(cell, request, source, own), data)
        except BaconError as error:
            missing[own] = str(error)
        else:
            if native.settings(cell).evaluation == plans[COMPARABLE].settings(cell).evaluation:
                missing[own] = f"it comes to the same as {COMPARABLE} here"
            else:
                plans[own] = native
    return Target(cell=cell, data=data, plans=plans, missing=missing)


def _plan(cell: Cell, request: Request, source: Source, protocol: str) -> Plan:
    plain: dict[str, Any] = {"preset": "paper"} if request.config is None else read_file(request.config)
    data = {**plain.get("data", {}).get(cell.dataset, {}), **source.settings}
    run = {"device": request.device, "threads": request.threads}
    own = {
        "protocol": protocol,
        "grid": {"datasets": [cell.dataset], "methods": [cell.method], "ipc": [cell.ipc], "seeds": [cell.seed]},
        "data": {**plain.get("data", {}), cell.dataset: data | ({"zca": True} if request.zca else {})},
        "run": {**plain.get("run", {}), **run},
    }
    return Plan(check_config({**plain, **own}, source=f"cell {cell}"), request.folder)
