"""Values of a configuration file that change nothing, each with the reason: a warning, since nothing computed is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from bacon.config.layering import Resolved, resolve
from bacon.config.layers import RELABELLED, NamedLayer, kind, layers
from bacon.config.loading import file_layers, grid_cells, reference_cells
from bacon.config.model import Config
from bacon.config.sections import Key
from bacon.config.value_words import shown
from bacon.downstream.registry import TASKS
from bacon.settings.cells import Cell

_FILE_LAYERS = ("methods.", "datasets.", "cells[", "variants.", RELABELLED, "protocols.", "overrides[")


@dataclass
class _Fate:
    """What became of one key of one layer: whether a cell takes its value, and who set the key in the cells that do not."""

    reached: bool = False
    winners: dict[str, list[Cell]] = field(default_factory=dict)


def unreached_values(config: Config) -> tuple[str, ...]:
    """A line for every value that a layer of the file sets in vain.

    - no cell of the grid is in the layer (another data set, method or IPC);
    - a higher layer sets the key, for every cell, or for all cells of a data set where that layer is a built-in one, which the
      file does not show;
    - it is of a downstream task that the grid does not run;
    - no method, or no architecture, of the layer's cells has the key;
    - a row of soft labels repeats its method's under one of several protocols.

    Args:
        config: a checked configuration.
    """
    fates = _fates(config)
    used = {label for label, _ in fates}
    lines: list[str] = []
    for label, layer in file_layers(config):
        values = NamedLayer.of(label, layer, strict=False).values
        if label not in used:
            lines += [_no_cell(config, label)] if values else []
            continue
        for key, value in values.items():
            place = f"{label}.{'.'.join(key)} = {shown(value)}"
            lines += [f"{place} {reason}" for reason in _reasons(fates[label, key])]
    return (*lines, *_tasks_not_run(config), *_repeated_rows(config))


def _tasks_not_run(config: Config) -> Iterator[str]:
    """A line for every section of a downstream task that the grid does not run."""
    for name in TASKS:
        if getattr(config.downstream, name).model_fields_set and name not in config.grid.downstream:
            listed = ", ".join(config.grid.downstream) or "no task"
            yield f"downstream.{name} is used for no cell: grid.downstream lists {listed}, not {name}"


def _repeated_rows(config: Config) -> Iterator[str]:
    """A line for every protocol under which rows of soft labels are evaluated as their methods are."""
    rows = config.relabelled_rows
    each = {(cell.dataset, cell.method): cell for cell in grid_cells(config) if cell.method in rows}
    for protocol in config.evaluated_protocols if rows else ():
        under = config.under(protocol)
        same = [cell.method for cell in each.values() if _is_same(under, cell, replace(cell, method=rows[cell.method]))]
        if named := " and ".join(f"{row} repeats {rows[row]}" for row in dict.fromkeys(same)):
            yield (
                f"grid.relabelled changes nothing under protocol {protocol}, whose labels come from teachers already: "
                f"{named} there"
            )


def _is_same(config: Config, cell: Cell, other: Cell) -> bool:
    """Whether teachers give both cells the same labels, and nothing else of their evaluation differs."""
    one, two = (resolve(config, each).settings.evaluation for each in (cell, other))
    return one == two and one.labels == "teacher"


def _fates(config: Config) -> Mapping[tuple[str, Key], _Fate]:
    """Every key of every layer of the file that has a cell, and what became of it."""
    fates: dict[tuple[str, Key], _Fate] = {}
    seen: set[object] = set()
    for cell in (*reference_cells(config), *grid_cells(config)):
        alike = kind(config, cell)
        if alike in seen:
            continue
        seen.add(alike)
        # Other layers fare alike under every known protocol, the lowest layer of all.
        for protocol in dict.fromkeys((config.protocol, *(set(config.protocols) & set(config.evaluated_protocols)))):
            _note_layers(fates, config.under(protocol), cell)
    return fates


def _note_layers(fates: dict[tuple[str, Key], _Fate], config: Config, cell: Cell) -> None:
    """What became of the keys of a cell's layers."""
    resolved = resolve(config, cell)
    for layer in layers(config, cell):
        if layer.label.startswith(_FILE_LAYERS):
            for key, value in layer.values.items():
                _note(fates.setdefault((layer.label, key), _Fate()), resolved, layer.label, key, value, cell)
            if not layer.values:
                fates.setdefault((layer.label, ()), _Fate())


def _note(fate: _Fate, resolved: Resolved, label: str, key: Key, value: object, cell: Cell) -> None:
    is_kept = key in resolved.given
    winner = resolved.origin[key] if is_kept else resolved.taken_out.get(key)
    if winner == label or (is_kept and resolved.given[key] == value):
        fate.reached = True
    elif winner is not None:
        fate.winners.setdefault(winner, []).append(cell)


def _reasons(fate: _Fate) -> Iterator[str]:
    if fate.reached:
        built_in = {label: cells for label, cells in fate.winners.items() if not label.startswith(_FILE_LAYERS)}
        for label, cells in built_in.items():
            names = ", ".join(dict.fromkeys(cell.dataset for cell in cells))
            yield f"is not used for {names}: {label} sets the key in a higher layer; `overrides` wins over all layers"
    elif fate.winners:
        winners = " and ".join(fate.winners)
        yield f"is used for no cell: {winners} sets the key in a higher layer; change it there, or under `overrides`"
    else:
        yield "is used for no cell: the methods and networks of its cells have no such setting"


def _no_cell(config: Config, label: str) -> str:
    """Why a layer has no cell in the grid."""
    grid = config.grid
    if label.startswith("cells["):
        layer = config.cells[int(label[len("cells[") : -1])]
        what = f"{layer.dataset}, IPC {layer.ipc}" + (f", {', '.join(layer.methods)}" if layer.methods else "")
        return (
            f"{label} ({what}) is used for no cell: the grid has data sets {', '.join(grid.datasets)}, "
            f"IPC {', '.join(map(str, grid.ipc))} and methods {', '.join(grid.methods)}"
        )
    if label == RELABELLED:
        return f"{label} is used for no cell: grid.exclude leaves its rows out"
    section, name = label.split(".", 1)
    listed, where = {
        "datasets": (grid.datasets, "grid.datasets"),
        "protocols": (config.evaluated_protocols, "grid.protocols"),
    }.get(section, (grid.methods, "grid.methods"))
    return f"{label} is used for no cell: {where} lists {', '.join(listed)}, not {name}"
