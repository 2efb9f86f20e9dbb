"""Read a configuration, check it whole, and list its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bacon.config.check_downstream import check_downstream
from bacon.config.empty_sections import without_empty_sections
from bacon.config.layering import evaluation_network, resolve, resolve_protocol
from bacon.config.layers import OF_TEACHERS, RELABELLED, NamedLayer, OtherLayers, kind
from bacon.config.model import Config, Layer
from bacon.config.name_checks import check_names
from bacon.config.prepared import check_augmentations, check_prepared
from bacon.config.reading import read_file
from bacon.config.relabelled import with_relabelled
from bacon.config.sections import Key
from bacon.config.setting_errors import describe, describe_all, layer_mistakes, nearest, numbers_from_words
from bacon.datasets.registry import REGISTRY
from bacon.datasets.shares import held_out_count
from bacon.methods.registry import METHODS
from bacon.networks.registry import check_fits
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.data import DataSettings

RANDOM = "random"
"""The method that DD-Ranking measures others against."""


def load_config(path: Path | str) -> Config:
    """Read and check a YAML or JSON configuration file.

    Raises:
        BaconError: the file cannot be read, or a key or value is not allowed; the message says which and what is.
    """
    return check_config(read_file(path), source=str(path))


def check_config(plain: Mapping[str, Any], *, source: str = "configuration") -> Config:
    """Check a configuration given as nested mappings.

    Args:
        plain: its values, as :func:`bacon.config.reading.read_merged` gives them.
        source: the file, or files, for messages.

    Raises:
        BaconError: names ``source``, and for each mistake in a line the key, the value and what is allowed.
    """
    try:
        config = _with_headline(_validated(without_empty_sections(plain)))
        check_names(config)
        _check_repeats(config)
        config = with_relabelled(config)
        _check_layers(config)
        checked = set()
        for cell in (*reference_cells(config), *grid_cells(config)):
            if (settings_of := kind(config, cell)) not in checked:
                checked.add(settings_of)
                _check_cell(config, cell)
        check_downstream(config, (*reference_cells(config), *grid_cells(config)))
    except BaconError as error:
        lines = str(error).split("\n")
        raise BaconError("\n".join(f"{source}: {line}" for line in lines)) from None
    return config


def _validated(plain: Mapping[str, Any]) -> Config:
    try:
        config = Config.model_validate(plain)
    except ValidationError as error:
        raise BaconError(describe(error, plain, model=Config)) from None
    if found := numbers_from_words(plain, config):
        raise BaconError(describe_all(found))
    return config


def _with_headline(config: Config) -> Config:
    """Of several protocols, the first is `protocol` where the file does not say which."""
    chosen = "protocol" in config.model_fields_set
    return config if chosen or not config.grid.protocols else config.under(config.grid.protocols[0])


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


def _check_repeats(config: Config) -> None:
    grid = config.grid
    for what, values in (
        ("datasets", grid.datasets),
        ("methods", grid.methods),
        ("relabelled", grid.relabelled),
        ("ipc", grid.ipc),
        ("seeds", grid.seed_list()),
        ("networks", grid.networks),
        ("protocols", grid.protocols),
        ("downstream", grid.downstream),
    ):
        repeated = [value for number, value in enumerate(values) if value in values[:number]]
        if repeated:
            raise BaconError(f"grid.{what}: {repeated[0]!r} is listed twice; list each value once")
    if not grid_cells(config):
        raise BaconError("grid.exclude removes every cell; the grid needs at least one")


def file_layers(config: Config) -> tuple[tuple[str, Layer], ...]:
    """The layers that the file itself gives, each with the label that errors and ``bacon config`` show."""
    variants = {name: layer for name, layer in config.variants.items() if name not in config.relabelled_rows}
    return (
        *((f"methods.{name}", layer) for name, layer in config.methods.items()),
        *((f"variants.{name}", layer) for name, layer in variants.items()),
        *([(RELABELLED, Layer.model_validate(OF_TEACHERS))] if config.grid.relabelled else ()),
        *((f"protocols.{name}", Layer(evaluation=own.evaluation)) for name, own in config.protocols.items()),
        *((f"datasets.{name}", layer) for name, layer in config.datasets.items()),
        *((f"cells[{number}]", layer) for number, layer in enumerate(config.cells)),
        *((f"overrides[{pattern}]", layer) for pattern, layer in config.overrides.items()),
    )


def _check_layers(config: Config) -> None:
    """Every layer by itself, also one that no cell takes; all mistakes at once."""
    networks: dict[str, dict[Key, Any]] = {
        name: {("network", key): value for key, value in own.items()} for name, own in config.networks.items()
    }
    values = {label: NamedLayer.of(label, layer, strict=False).values for label, layer in file_layers(config)}
    found = [line for label, layer in values.items() for line in layer_mistakes(label, layer)]
    for name, changes in networks.items():
        label = f"networks.{name}"
        found += [line.replace(f"{label}.network", label, 1) for line in layer_mistakes(label, changes)]
    if found:
        raise BaconError("\n".join(found))
    for pattern in (*config.overrides, *config.grid.exclude):
        _check_pattern(config, pattern)
    _check_named_methods(config)


def _check_pattern(config: Config, pattern: str) -> None:
    """A pattern that names no cell of the grid is a mistake, most often a typing error."""
    whole = config.model_copy(update={"grid": config.grid.model_copy(update={"exclude": ()})})
    cells = (*grid_cells(whole), *reference_cells(whole))
    if not any(cell.matches(pattern) for cell in cells):
        raise BaconError(
            f"pattern {pattern!r} in overrides or grid.exclude matches no cell of the grid"
            f"{_near_pattern(pattern, cells)}; an example of a cell is {cells[0]}"
        )


def _near_pattern(pattern: str, cells: Sequence[Cell]) -> str:
    """The pattern with the nearest names that the grid has, where that matches."""
    known = zip(*(str(cell).split("/") for cell in cells if cell.ipc is not None), strict=True)
    parts = [
        part if any(fnmatchcase(name, part) for name in names) else nearest(part, names) or part
        for part, names in zip(pattern.split("/"), map(dict.fromkeys, known), strict=False)
    ]
    near = "/".join(parts)
    return f"; did you mean {near!r}?" if any(cell.matches(near) for cell in cells) else ""


def _check_named_methods(config: Config) -> None:
    """Resolve a cell for each method and data set that a layer names: a misplaced key is found though not in the grid."""
    first = grid_cells(config)[0]
    for method in (*config.methods, *config.variants):
        resolve(config, Cell(first.dataset, method, first.ipc, first.seed))
    for dataset in config.datasets:
        for method in config.grid.methods:
            resolve(config, Cell(dataset, method, first.ipc, first.seed))
    for layer in config.cells:
        for method in layer.methods or config.grid.methods:
            resolve(config, Cell(layer.dataset, method, layer.ipc, 0))


def _check_cell(config: Config, cell: Cell) -> None:
    """What settings of one cell have to do with its data and with the rest of the grid."""
    resolved = resolve(config, cell)
    _check_networks(config, cell, resolved.settings)
    _check_size(config, cell, resolved.settings)
    check_prepared(config, cell, resolved)
    check_augmentations(config, cell, resolved.settings.evaluation, resolved)
    _check_protocol(config, cell, resolved.settings)
    others = OtherLayers.of(config, cell).for_evaluation()
    for protocol in config.evaluated_protocols:
        if protocol != config.protocol:
            under = config.under(protocol)
            settings = resolve_protocol(under, cell, resolved, others, beside=True).settings
            _check_protocol(under, cell, settings)
            check_augmentations(under, cell, settings.evaluation, resolved)
            if settings.evaluation.labels == "teacher":
                _check_networks(under, cell, settings)


def _check_protocol(config: Config, cell: Cell, settings: CellSettings) -> None:
    """What a cell's evaluation asks of its data and of the grid."""
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


def _check_networks(config: Config, cell: Cell, settings: CellSettings) -> None:
    """Whether the networks take a registered data set's images; the size of own data is known when it is read."""
    data, own = data_settings(config, cell.dataset), settings.network
    needs = METHODS[config.base_method(cell.method)].needs(settings) if cell.ipc is not None else ()
    networks = {
        "network": own,
        **{f"networks.{name}": evaluation_network(config, own, name) for name in config.grid.networks},
        **{
            f"the network of the {need.name} of {cell}": need.network
            for need in (*needs, *settings.evaluation.needs(own))
        },
    }
    if data.format != "registry":
        return
    size = data.size or REGISTRY[cell.dataset].shape[1]
    for label, network in networks.items():
        try:
            check_fits(network, size)
        except BaconError as error:
            raise BaconError(f"{label} with {cell.dataset}: {error}") from None


def _check_size(config: Config, cell: Cell, settings: CellSettings) -> None:
    """Whether the official training set has enough images for the initial ones; own data is checked when it is read."""
    data = data_settings(config, cell.dataset)
    distillation = settings.distillation
    if data.format != "registry" or cell.ipc is None or distillation is None:
        return
    smallest = REGISTRY[cell.dataset].smallest_class
    smallest -= held_out_count(smallest, data.validation) if data.validation else 0
    needed = distillation.real_images_needed(cell.ipc)
    parts = needed // cell.ipc  # real images in each stored one
    if needed > smallest:
        packed = f"{cell.ipc} x {parts} parts = " if parts > 1 else ""
        raise BaconError(
            f"grid.ipc = {cell.ipc}: {cell} needs {packed}{needed} different images of each class; "
            f"the smallest class of {cell.dataset} has {smallest} training images, so at most IPC {smallest // parts}"
        )
