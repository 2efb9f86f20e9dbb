"""Read a configuration, check it whole, and list its cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bacon.config.layering import NamedLayer, evaluation_network, kind, resolve
from bacon.config.model import ALL, BEST, Config, Layer
from bacon.config.presets import NETWORKS, PRESETS
from bacon.config.setting_errors import check_layer, check_name, describe
from bacon.datasets.registry import REGISTRY
from bacon.datasets.shares import held_out_count
from bacon.methods.registry import METHODS
from bacon.networks.registry import check_fits
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.data import DataSettings
from bacon.settings.network import NetworkSettings

RANDOM = "random"
"""The method that DD-Ranking measures others against."""
GRID_METHODS = tuple(name for name, method in METHODS.items() if method.is_distilled)


def load_config(path: Path | str) -> Config:
    """Read and check a YAML or JSON configuration file.

    Raises:
        BaconError: the file cannot be read, or a key or value is not allowed; the message says which and what is.
    """
    try:
        plain = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BaconError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BaconError(f"{path}: not a YAML file: {error}") from None
    if not isinstance(plain, Mapping):
        raise BaconError(f"{path}: holds {type(plain).__name__}; a configuration must be a mapping of keys to values")
    return check_config(plain, source=str(path))


def check_config(plain: Mapping[str, Any], *, source: str = "configuration") -> Config:
    """Check a configuration given as nested mappings; raises :class:`BaconError` naming ``source``, key and value."""
    try:
        config = Config.model_validate(plain)
    except ValidationError as error:
        raise BaconError(f"{source}: {describe(error, model=Config)}") from None
    try:
        _check_names(config)
        _check_layers(config)
        checked = set()
        for cell in (*reference_cells(config), *grid_cells(config)):
            if (settings_of := kind(config, cell)) not in checked:
                checked.add(settings_of)
                _check_cell(config, cell)
    except BaconError as error:
        raise BaconError(f"{source}: {error}") from None
    return config


def grid_cells(config: Config) -> tuple[Cell, ...]:
    """Every cell of the grid, in the order of the configuration, without the excluded ones."""
    grid = config.grid
    cells = (
        Cell(dataset, method, ipc, seed)
        for dataset in grid.datasets
        for method in grid.methods
        for ipc in grid.ipc
        for seed in grid.seed_list()
    )
    return tuple(cell for cell in cells if not any(cell.matches(pattern) for pattern in grid.exclude))


def reference_cells(config: Config) -> tuple[Cell, ...]:
    """The full data set of every data set that has a cell."""
    return tuple(Cell(dataset, "full") for dataset in dict.fromkeys(cell.dataset for cell in grid_cells(config)))


def data_settings(config: Config, dataset: str) -> DataSettings:
    """Where a data set comes from and how it is prepared."""
    return config.data.get(dataset, DataSettings())


def _check_names(config: Config) -> None:
    datasets = (*REGISTRY, *(name for name in config.data if name not in REGISTRY))
    own = "; or name your own under `data`"
    check_name("preset", config.preset, PRESETS)
    _check_each("grid.datasets", config.grid.datasets, datasets, extra=own)
    _check_each("grid.methods", config.grid.methods, (*GRID_METHODS, *config.variants))
    _check_variants(config)
    _check_each("grid.networks", config.grid.networks, ("convnet", *NETWORKS, *config.networks))
    _check_each("methods: key", config.methods, METHODS)
    _check_each("report.references", config.report.references, (*GRID_METHODS, BEST, ALL))
    _check_each("datasets: key", config.datasets, datasets, extra=own)
    for number, layer in enumerate(config.cells):
        check_name(f"cells[{number}].dataset", layer.dataset, datasets, extra=own)
        _check_each(f"cells[{number}].methods", layer.methods or (), METHODS)
    for name, data in config.data.items():
        if data.format == "registry":
            check_name("data: key", name, REGISTRY, extra="; own data needs `format` and `path`")
    _check_repeats(config)


def _check_variants(config: Config) -> None:
    for name, variant in config.variants.items():
        check_name(f"variants.{name}.method", variant.method, GRID_METHODS)
        if name in METHODS:
            raise BaconError(f"variants.{name}: {name!r} is the name of a method; give the variant another name")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name):
            raise BaconError(
                f"variants.{name}: the name is used in paths, so it must start with a letter or digit and hold "
                "only letters, digits, and . + -"
            )


def _check_each(what: str, names: Iterable[str], allowed: Iterable[str], *, extra: str = "") -> None:
    allowed = tuple(allowed)
    for name in names:
        if "/" in name or name != name.strip() or not name:
            raise BaconError(
                f"{what} = {name!r}: the name is used in paths, so it must have no slash and no space at either end"
            )
        check_name(what, name, allowed, extra=extra)


def _check_repeats(config: Config) -> None:
    grid = config.grid
    for what, values in (
        ("datasets", grid.datasets),
        ("methods", grid.methods),
        ("ipc", grid.ipc),
        ("seeds", grid.seed_list()),
        ("networks", grid.networks),
    ):
        repeated = [value for number, value in enumerate(values) if value in values[:number]]
        if repeated:
            raise BaconError(f"grid.{what}: {repeated[0]!r} is listed twice; list each value once")
    if not grid_cells(config):
        raise BaconError("grid.exclude removes every cell; the grid needs at least one")


def _check_layers(config: Config) -> None:
    named: list[tuple[str, Layer]] = [
        *((f"methods.{name}", layer) for name, layer in config.methods.items()),
        *((f"variants.{name}", layer) for name, layer in config.variants.items()),
        *((f"datasets.{name}", layer) for name, layer in config.datasets.items()),
        *((f"cells[{number}]", layer) for number, layer in enumerate(config.cells)),
        *((f"overrides[{pattern}]", layer) for pattern, layer in config.overrides.items()),
    ]
    for label, layer in named:
        check_layer(label, NamedLayer.of(label, layer, strict=False).values)
    for name, changes in config.networks.items():
        check_layer(f"networks.{name}", {("network", key): value for key, value in changes.items()})
    for pattern in (*config.overrides, *config.grid.exclude):
        _check_pattern(config, pattern)
    _check_named_methods(config)


def _check_pattern(config: Config, pattern: str) -> None:
    """A pattern that names no cell of the grid is a mistake, most often a typing error."""
    whole = config.model_copy(update={"grid": config.grid.model_copy(update={"exclude": ()})})
    cells = (*grid_cells(whole), *reference_cells(whole))
    if not any(cell.matches(pattern) for cell in cells):
        raise BaconError(
            f"pattern {pattern!r} in overrides or grid.exclude matches no cell of the grid; an example of a cell "
            f"is {cells[0]}"
        )


def _check_named_methods(config: Config) -> None:
    """Resolve one cell for each method that a layer names, so that a misplaced key is found though not in the grid."""
    first = grid_cells(config)[0]
    for method in (*config.methods, *config.variants):
        resolve(config, Cell(first.dataset, method, first.ipc, first.seed))
    for layer in config.cells:
        for method in layer.methods or ():
            resolve(config, Cell(layer.dataset, method, layer.ipc, 0))


def _check_cell(config: Config, cell: Cell) -> None:
    """What settings of one cell have to do with its data and with the rest of the grid."""
    settings = resolve(config, cell).settings
    _check_networks(config, cell, settings.network)
    if settings.evaluation.lr_search and not data_settings(config, cell.dataset).validation:
        raise BaconError(
            f"evaluation.lr_search of {cell} needs a validation split to choose a learning rate, and "
            f"{cell.dataset} has none: set data.{cell.dataset}.validation, for example to 0.1 (a tenth of each "
            "training class), or lr_search to []"
        )
    if config.protocol == "dd-ranking" and RANDOM not in config.grid.methods:
        raise BaconError(
            f"protocol dd-ranking compares every method with random images: add {RANDOM!r} to grid.methods"
        )
    _check_size(config, cell)


def _check_networks(config: Config, cell: Cell, own: NetworkSettings) -> None:
    """Whether the networks take a registered data set's images; the size of own data is known when it is read."""
    data = data_settings(config, cell.dataset)
    networks = {"network": own} | {
        f"networks.{name}": evaluation_network(config, own, name) for name in config.grid.networks
    }
    if data.format != "registry":
        return
    size = data.size or REGISTRY[cell.dataset].shape[1]
    for label, network in networks.items():
        try:
            check_fits(network, size)
        except BaconError as error:
            raise BaconError(f"{label} with {cell.dataset}: {error}") from None


def _check_size(config: Config, cell: Cell) -> None:
    """Whether the official training set has enough images for the initial ones; own data is checked when it is read."""
    data = data_settings(config, cell.dataset)
    distillation = resolve(config, cell).settings.distillation
    if data.format != "registry" or cell.ipc is None or distillation is None:
        return
    smallest = REGISTRY[cell.dataset].smallest_class
    smallest -= held_out_count(smallest, data.validation) if data.validation else 0
    parts, needed = distillation.parts(), distillation.real_images_needed(cell.ipc)
    if needed > smallest:
        packed = f" x {parts} parts" if parts > 1 else ""
        raise BaconError(
            f"grid.ipc = {cell.ipc}: {cell} needs {cell.ipc}{packed} = {needed} different images of each class; "
            f"the smallest class of {cell.dataset} has {smallest} training images, so at most IPC {smallest // parts}"
        )
