"""From the layers of a cell to its settings.

Layers are partial; later ones win key by key. A layer that applies to several methods may hold keys that one of them does
not have (iterations, for a random coreset): they do not concern it and are left out. A key that no method has, or that a
layer gives to a named method that does not have it, is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bacon.config.layers import NamedLayer, OtherLayers, layers
from bacon.config.model import Config
from bacon.config.presets import NETWORKS
from bacon.config.sections import Key, has_key, key_names, optional_sections
from bacon.config.setting_errors import describe, flatten, nearest
from bacon.config.value_words import Mistake, mistakes, shown
from bacon.methods.base import Method
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.base import Strict
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.evaluation import EvaluationSettings, superseded
from bacon.settings.network import NetworkSettings
from bacon.settings.preprocessing import PreprocessingSettings


@dataclass(frozen=True)
class Resolved:
    """A cell's settings, and for each key the label of the layer that set it.

    Attributes:
        settings: of the cell.
        origin: key -> label of the layer that its value comes from.
        given: key -> value, of the keys that layers set and the cell takes.
        taken_out: key -> label of the layer that took it out: who says how many epochs means no rule for them.
    """

    settings: CellSettings
    origin: Mapping[Key, str]
    given: Mapping[Key, Any]
    taken_out: Mapping[Key, str]

    def rows(self) -> list[tuple[str, Any, str]]:
        """(dotted key, value, layer) of every setting; values are JSON-able."""
        values = flatten(self.settings.model_dump(mode="json", by_alias=True))
        return [(".".join(key), value, self.origin.get(key, "default")) for key, value in values]


def resolve(config: Config, cell: Cell) -> Resolved:
    """The settings of a cell.

    Args:
        config: its `protocol` is that of the evaluation.
        cell: the cell.

    Raises:
        BaconError: a key or value is not allowed; the message names the layer, the key, the value and what is allowed.
    """
    method, merge = METHODS[config.base_method(cell.method)], _Merge()
    for layer in layers(config, cell):
        _check_own_network(layer, below=merge.values.get(("network", "architecture"), "convnet"))
        merge.add(layer)
    merged, origin = merge.values, merge.origin
    kept = {key: value for key, value in merged.items() if _concerns(method, merged, key)}
    for key in sorted(merge.strict - kept.keys()):
        raise BaconError(_misplaced(cell, method, key, merged[key], origin[key]))
    settings = _build(cell, method, kept, origin)
    defaults = {key: "default" for key, _ in flatten(settings.model_dump(mode="json", by_alias=True))}
    return Resolved(settings, defaults | {key: origin[key] for key in kept}, kept, merge.taken_out)


class _Merge:
    """Layers laid on one another: the value of each key, the layer it is from, and what one layer took out of another."""

    def __init__(self) -> None:
        self.values: dict[Key, Any] = {}
        self.origin: dict[Key, str] = {}
        self.strict: set[Key] = set()
        self.taken_out: dict[Key, str] = {}

    def add(self, layer: NamedLayer) -> None:
        """Lay a layer on top."""
        for name in superseded(key[-1] for key in layer.values if key[0] == "evaluation"):
            if self.values.pop(("evaluation", name), None) is not None:
                self.taken_out["evaluation", name] = layer.label
        for key, value in layer.values.items():
            self._take_out(key, value, layer.label)
            self.values[key], self.origin[key] = value, layer.label
            (self.strict.add if layer.strict else self.strict.discard)(key)

    def _take_out(self, key: Key, value: Any, label: str) -> None:
        """A part that is ``null`` has no keys of lower layers; one that is given keys is ``null`` no longer."""
        above = (key[:end] for end in range(2, len(key)))
        gone = [place for place in above if self.values.get(place, ...) is None]
        if value is None and key in optional_sections():
            gone += [place for place in self.values if len(place) > len(key) and place[: len(key)] == key]
        for place in gone:
            del self.values[place]
            self.strict.discard(place)
            self.taken_out[place] = label


def resolve_protocol(config: Config, cell: Cell, base: Resolved, others: OtherLayers, *, beside: bool) -> Resolved:
    """As :func:`resolve` under another protocol than a cell is resolved under already: only its evaluation differs.

    Args:
        config: its `protocol` is the other one.
        cell: the cell.
        base: its settings under any protocol.
        others: its layers that no protocol changes, of evaluation.
        beside: `protocol` is one of several and not the one that headline tables show.
    """
    merge = _Merge()
    for layer in layers(config, cell, beside=beside, others=others):
        merge.add(layer)
    evaluation = _evaluation_settings(cell, merge)
    return Resolved(
        base.settings.model_copy(update={"evaluation": evaluation}),
        {key: label for key, label in base.origin.items() if key[0] != "evaluation"}
        | {key: "default" for key in base.origin if key[0] == "evaluation"}
        | {key: merge.origin[key] for key in merge.values},
        {key: value for key, value in base.given.items() if key[0] != "evaluation"} | merge.values,
        merge.taken_out,
    )


_EVALUATIONS: dict[str, EvaluationSettings] = {}
"""What was given -> the settings: many cells and protocols of a large grid give the same."""


def _evaluation_settings(cell: Cell, merge: _Merge) -> EvaluationSettings:
    values: dict[str, Any] = {}
    for key, value in merge.values.items():
        target = values
        for part in key[1:-1]:
            target = target.setdefault(part, {})
        target[key[-1]] = value
    text = repr(sorted(values.items()))
    if text not in _EVALUATIONS:
        made = _validated(cell, "evaluation", EvaluationSettings, values, merge.origin)
        assert isinstance(made, EvaluationSettings)
        _EVALUATIONS[text] = made
    return _EVALUATIONS[text]


def evaluation_network(config: Config, own: NetworkSettings, name: str) -> NetworkSettings:
    """A named evaluation network: a cell's own with the named changes, or, where they name another architecture, those alone.

    Args:
        config: its ``networks`` come before those known by name; ``convnet``, if it is not among them, is the cell's own.
        own: the network that the cell is distilled with.
        name: one of ``grid.networks``.

    Raises:
        BaconError: there is no such network, or its settings do not go together.
    """
    known = {"convnet": {}, **NETWORKS, **config.networks}
    if name not in known:
        raise BaconError(
            f"network {name!r} is not defined under `networks` and not one of the known names ({', '.join(known)})"
        )
    changes = known[name]
    same = changes.get("architecture", own.architecture) == own.architecture
    values = (own.model_dump() if same else {}) | dict(changes)
    try:
        return NetworkSettings.model_validate(values)
    except ValidationError as error:
        raise BaconError(describe(error, values, f"networks.{name}")) from None


def _check_own_network(layer: NamedLayer, *, below: str) -> None:
    """A layer that names an architecture names no key that it lacks; such keys of lower layers do not concern it.

    One that names none may have the keys of the architecture ``below`` it, and those of the default one.
    """
    named = layer.values.get(("network", "architecture"))
    architecture = named or below
    own = NetworkSettings.keys_of(architecture)
    allowed = own if named else (*own, *NetworkSettings.keys_of("convnet"))
    for key, value in layer.values.items():
        if key[0] == "network" and key[-1] not in allowed:
            raise BaconError(
                f"{layer.label}.{'.'.join(key)} = {shown(value)}: {architecture} has no such setting; "
                f"its keys are {', '.join(own)}"
            )


def _build(cell: Cell, method: Method, kept: Mapping[Key, Any], origin: Mapping[Key, str]) -> CellSettings:
    model = method.settings_model
    plain: dict[str, Any] = {"distillation": None if model is None else {}}
    for key, value in kept.items():
        target = plain
        for part in key[:-1]:
            target = target.setdefault(part, {})
        target[key[-1]] = value
    parts: dict[str, tuple[type[Strict], Any]] = {
        "preprocessing": (PreprocessingSettings, plain.get("preprocessing", {})),
        "network": (NetworkSettings, plain.get("network", {})),
        "evaluation": (EvaluationSettings, plain.get("evaluation", {})),
    }
    if model is not None:
        parts["distillation"] = (model, plain["distillation"])
    made = {name: _validated(cell, name, *part, origin) for name, part in parts.items()}
    return CellSettings(**{"distillation": None, **made})


def _validated(
    cell: Cell, section: str, model: type[Strict], values: Mapping[str, Any], origin: Mapping[Key, str]
) -> Strict:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_in_layer(mistake, section, origin) for mistake in mistakes(error, values)]
        raise BaconError("\n".join(f"cell {cell}: {line}" for line in lines)) from None


def _in_layer(mistake: Mistake, section: str, origin: Mapping[Key, str]) -> str:
    """A mistake in merged settings, with the layers that set the keys it names."""
    key = (section, *mistake.key)
    if key in origin:
        return f"{origin[key]}.{'.'.join(key)} = {shown(mistake.value)}: {mistake.words}"
    named = [path for path in origin if path[0] == section and f"`{path[-1]}`" in mistake.words]
    layers_of = ", ".join(f"`{path[-1]}` is set by {origin[path]}" for path in named)
    return f"{'.'.join(key)}: {mistake.words}{f' ({layers_of})' if named else ''}"


def _concerns(method: Method, merged: Mapping[Key, Any], key: Key) -> bool:
    """Whether the models chosen for this cell (architecture, method, tags such as the source of networks) have the key."""
    if key[0] == "network":
        return key[1] in NetworkSettings.keys_of(merged.get(("network", "architecture"), "convnet"))
    if key[0] != "distillation":
        return True
    model = method.settings_model
    return model is not None and has_key(model, key[1:], merged, key[:1])


def _misplaced(cell: Cell, method: Method, key: Key, value: Any, label: str) -> str:
    if key[0] == "network":
        return f"{label}.{'.'.join(key)} = {shown(value)}: the network of cell {cell} is not a convnet and has no such setting"
    model = method.settings_model
    allowed = sorted(key_names(model)) if model else []
    hint = nearest(key[-1], allowed)
    return (
        f"{label}.{'.'.join(key)} = {shown(value)}: method {cell.method!r} has no such setting"
        f"{f'; did you mean {hint!r}?' if hint else ''} (its distillation settings: {', '.join(allowed) or 'none'})"
    )
