"""Which layers of partial settings apply to a cell, the lowest first.

Defaults < protocol < preset < method < data set < (data set, IPC) < variant < override. What a method's record says of a
preset is part of the preset. What its authors published for a (data set, IPC) is part of the method, with the preset ``paper``
alone: every key of a configuration file wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bacon.config.model import Config, Layer
from bacon.config.presets import PRESETS
from bacon.config.sections import Key
from bacon.config.setting_errors import flatten
from bacon.datasets.registry import REGISTRY
from bacon.methods.base import Method
from bacon.methods.registry import METHODS
from bacon.settings.cells import Cell
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocols import NATIVE, preset_length, protocol_settings, published_settings

SECTIONS = ("preprocessing", "network", "distillation", "evaluation")
"""Sections of a cell's settings."""

FINAL_IMAGES = {"evaluation": {"snapshot_seeds": 0}}
"""Of protocols beside `protocol`: earlier snapshots are evaluated only where a layer asks for it."""

OF_TEACHERS = {"evaluation": {"labels": "teacher"}}
"""What a row of soft labels has of its own."""
RELABELLED = "grid.relabelled"
"""The label of that layer."""


@dataclass(frozen=True)
class NamedLayer:
    """A layer with the label that errors and ``bacon config`` show; strict when it names the methods it is for."""

    label: str
    values: Mapping[Key, Any]
    strict: bool

    @classmethod
    def of(cls, label: str, layer: Layer | Mapping[str, Any], *, strict: bool) -> NamedLayer:
        """From a model or a plain mapping of sections."""
        plain = layer if isinstance(layer, Mapping) else {name: getattr(layer, name) for name in SECTIONS}
        return cls(label, dict(flatten(plain)), strict)


@dataclass(frozen=True)
class OtherLayers:
    """The layers of a cell that no protocol changes: the record's, and those of the file."""

    record: tuple[NamedLayer, ...]
    file: tuple[NamedLayer, ...]

    @classmethod
    def of(cls, config: Config, cell: Cell) -> OtherLayers:
        """Those of a cell."""
        method = METHODS[config.base_method(cell.method)]
        return cls(tuple(_of_the_record(config, cell, method)), tuple(_of_the_file(config, cell)))

    def for_evaluation(self) -> OtherLayers:
        """The keys of ``evaluation`` in them alone."""
        return OtherLayers(_evaluation_of(self.record), _evaluation_of(self.file))


def _evaluation_of(layers: Iterable[NamedLayer]) -> tuple[NamedLayer, ...]:
    parts = (
        NamedLayer(one.label, {key: value for key, value in one.values.items() if key[0] == "evaluation"}, one.strict)
        for one in layers
    )
    return tuple(part for part in parts if part.values)


def layers(
    config: Config, cell: Cell, *, beside: bool = False, others: OtherLayers | None = None
) -> Iterator[NamedLayer]:
    """The layers above the defaults that apply to a cell, lowest first.

    Args:
        config: the configuration.
        cell: the cell.
        beside: `protocol` is one of several and not the one that headline tables show.
        others: those that no protocol changes, where they are known.
    """
    others = others or OtherLayers.of(config, cell)
    protocol = protocol_name(config, cell.method)
    own = config.protocols.get(protocol)
    known = protocol if own is None else _known_protocol(own.base, config.base_method(cell.method))
    if beside:
        yield NamedLayer.of("protocols beside `protocol`", FINAL_IMAGES, strict=False)
    yield NamedLayer.of(
        f"protocol {known}", {"evaluation": protocol_settings(known, _facts(config, cell))}, strict=False
    )
    yield from others.record
    length = preset_length(known, config.preset, _facts(config, cell))
    if length:
        yield NamedLayer.of(f"preset {config.preset}", {"evaluation": length}, strict=False)
    if own is not None:
        yield NamedLayer.of(f"protocols.{protocol}", {"evaluation": own.evaluation}, strict=False)
    yield from others.file


def _of_the_file(config: Config, cell: Cell) -> Iterator[NamedLayer]:
    """What the file says of a cell's method, data set, IPC, variant and pattern, and the registry of its data set."""
    method = config.base_method(cell.method)
    if method in config.methods:
        yield NamedLayer.of(f"methods.{method}", config.methods[method], strict=True)
    if cell.dataset in REGISTRY:
        yield NamedLayer.of(f"data set {cell.dataset}", REGISTRY[cell.dataset].settings, strict=False)
    if cell.dataset in config.datasets:
        yield NamedLayer.of(f"datasets.{cell.dataset}", config.datasets[cell.dataset], strict=False)
    for number, part in enumerate(config.cells):
        chosen = part.methods is None or method in part.methods
        if chosen and (part.dataset, part.ipc) == (cell.dataset, cell.ipc):
            yield NamedLayer.of(f"cells[{number}]", part, strict=part.methods is not None)
    variant = config.relabelled_rows.get(cell.method, cell.method)
    if variant in config.variants:
        yield NamedLayer.of(f"variants.{variant}", config.variants[variant], strict=True)
    if variant != cell.method:
        yield NamedLayer.of(RELABELLED, OF_TEACHERS, strict=True)
    for pattern, layer in config.overrides.items():
        if cell.matches(pattern):
            yield NamedLayer.of(f"overrides[{pattern}]", layer, strict=f"/{cell.method}" in pattern)


def protocol_name(config: Config, method: str) -> str:
    """The evaluation protocol of a method or variant: the configuration's, or with ``native`` that of its own publication."""
    return _known_protocol(config.protocol, config.base_method(method))


def same_protocol(config: Config, first: str, second: str, cell: Cell) -> bool:
    """Whether two known protocols are the same for a cell's data set and IPC."""
    facts = _facts(config, cell)
    return published_settings(first, facts) == published_settings(second, facts)


def _known_protocol(name: str, method: str) -> str:
    """The protocol that a name stands for with a registered method."""
    return METHODS[method].protocol if name == NATIVE else name


def _of_the_record(config: Config, cell: Cell, method: Method) -> Iterator[NamedLayer]:
    """The preset, what it changes of the method, the method's own layer, and its published one."""
    label = f"preset {config.preset}"
    for layer in (PRESETS[config.preset], method.scales.get(config.preset, {})):
        preset = NamedLayer.of(label, layer, strict=False)
        if preset.values:
            yield preset
    yield NamedLayer.of(f"method {method.name}", method.settings, strict=True)
    published = method.published.get((cell.dataset, cell.ipc or 0))
    if config.preset == "paper" and published is not None:
        yield NamedLayer.of(f"published {method.name}, {cell.dataset}, IPC {cell.ipc}", published, strict=False)


def _facts(config: Config, cell: Cell) -> DataFacts:
    """What a protocol may depend on; what no setting says of own data sets is known when they are prepared."""
    known, data = REGISTRY.get(cell.dataset), config.data.get(cell.dataset)
    size, classes = (known.shape[-1], known.classes) if known is not None else (None, None)
    if data is not None and data.size is not None:
        size = data.size
    return DataFacts(name=cell.dataset, size=size, classes=classes, ipc=cell.ipc)


def kind(config: Config, cell: Cell) -> tuple[str, str, int | None, tuple[str, ...]]:
    """What a cell's settings depend on: cells of one kind share them. Only overrides know of seeds, so large grids have few."""
    overrides = tuple(pattern for pattern in config.overrides if cell.matches(pattern))
    return cell.dataset, cell.method, cell.ipc, overrides
