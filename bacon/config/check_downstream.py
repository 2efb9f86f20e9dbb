"""What `grid.downstream` and the sections `downstream.TASK` have to do with the rest of the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from bacon.config.downstream_sections import task_settings
from bacon.config.layering import resolve
from bacon.config.layers import kind
from bacon.config.model import Config
from bacon.config.setting_errors import check_name, describe
from bacon.datasets.registry import REGISTRY
from bacon.downstream.registry import TASKS
from bacon.networks.registry import check_fits
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.data import DataSettings


def check_downstream(config: Config, cells: Sequence[Cell]) -> None:
    """Refuse tasks that cannot be done as the file asks.

    Args:
        config: the configuration, otherwise checked.
        cells: the full data sets and the cells of the grid.

    Raises:
        BaconError: names the key, what was found and what to do.
    """
    for name in TASKS:
        _check_section(config, name, cells)
    for name in config.grid.downstream:
        _check_protocols(config, name, cells)
        _check_data(config, name, cells)


def _check_section(config: Config, name: str, cells: Sequence[Cell]) -> None:
    try:
        settings = task_settings(config, name)
    except ValidationError as error:
        raise BaconError(describe(error, {}, f"downstream.{name}")) from None
    for network in settings.networks:
        check_name(f"downstream.{name}.networks", network, config.grid.networks)
    for pattern in settings.cells:
        if not any(cell.matches(pattern) for cell in _possible(name, cells)):
            raise BaconError(
                f"downstream.{name}.cells: the pattern {pattern!r} matches no cell of the grid that the task takes, such as "
                f"{cells[-1]}"
            )


def _possible(name: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell.ipc is not None or TASKS[name].has_full)


def _check_data(config: Config, name: str, cells: Sequence[Cell]) -> None:
    """Whether a task fits registered data sets: their classes, and the networks that it has trained; own data shows later."""
    task, settings = TASKS[name], task_settings(config, name)
    for cell in {kind(config, cell): cell for cell in _chosen(config, name, cells)}.values():
        data = config.data.get(cell.dataset, DataSettings())
        if data.format != "registry":
            continue
        source = REGISTRY[cell.dataset]
        if (reason := task.classes_wanted(settings, source.classes)) is not None:
            raise BaconError(f"{cell.dataset}: {reason}")
        own = resolve(config, cell).settings
        for need in task.needs(settings, own, own.network):
            try:
                check_fits(need.network, data.size or source.shape[1])
            except BaconError as error:
                raise BaconError(f"downstream.{name}: {need.name} with {cell.dataset}: {error}") from None


def _chosen(config: Config, name: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    patterns = task_settings(config, name).cells
    return tuple(cell for cell in _possible(name, cells) if not patterns or any(map(cell.matches, patterns)))


def _check_protocols(config: Config, name: str, cells: Sequence[Cell]) -> None:
    """A task that tests trained networks needs a protocol that trains some."""
    for cell in {kind(config, cell): cell for cell in _chosen(config, name, cells)}.values():
        regression = resolve(config, cell).settings.evaluation.regression
        if regression != "none":
            raise BaconError(
                f"grid.downstream: {name} tests trained networks, and {cell} is evaluated by regression ({regression}), which "
                f"trains none: choose other cells under downstream.{name}.cells, or a protocol that trains networks"
            )
