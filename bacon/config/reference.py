"""The page of all settings, generated from the models and the methods' records; a test holds the files equal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from bacon.config.model import CellLayer, Config, Layer, VariantLayer
from bacon.config.presets import PRESETS
from bacon.config.reference_texts import INTRODUCTION, STAGES
from bacon.config.schema import SCHEMA_FILE, schema_text
from bacon.config.sections import Key, nested_models, section_models
from bacon.config.setting_errors import flatten
from bacon.downstream.registry import TASKS
from bacon.methods.base import Method
from bacon.methods.registry import METHODS, OWN
from bacon.runtime.atomic import write_text
from bacon.settings import distillation as shared_settings
from bacon.settings.downstream import TaskSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_records import PROTOCOLS

REFERENCE_FILE = Path("config/README.md")

_SECTIONS = {"Data": "preprocessing", "Networks": "network", "Evaluation": "evaluation"}


def reference_text(methods: Iterable[Method] | None = None) -> str:
    """``config/README.md``: by stage, every key with its type, default and meaning.

    Args:
        methods: all known ones by default.
    """
    methods = tuple(METHODS.values() if methods is None else methods)
    names = {"protocols": PROTOCOLS, "presets": PRESETS}
    lists = {what: ", ".join(f"`{name}`" for name in values) for what, values in names.items()}
    parts = [INTRODUCTION.format(**lists)]
    parts.append(f"## The whole file\n\n{_table(_rows(Config))}")
    for title, words, example, keys in STAGES:
        parts.append(f"## {title}\n\n{words}\n\n```yaml\n{example}\n```\n")
        parts += [_model_part(f"`{key}`", _models_of(key)) for key in keys]
        if title == "Distillation":
            parts += list(_distillation(methods))
        elif title == "Downstream tasks":
            parts += list(_tasks())
        elif title in _SECTIONS:
            parts += _section_parts((_SECTIONS[title],))
    parts += list(_layer_parts())
    return "\n".join(parts)


def _models_of(key: str) -> tuple[type[BaseModel], ...]:
    """The models under a key of the file; of a mapping, its values'."""
    annotation = Config.model_fields[key].annotation
    inner = get_args(annotation)[-1] if get_origin(annotation) is dict else annotation
    return (inner,) if isinstance(inner, type) and issubclass(inner, BaseModel) else ()


def _layer_parts() -> Iterable[str]:
    """Keys of the file that belong to no stage above, and the keys of layers outside their sections."""
    shown = {key for *_, keys in STAGES for key in keys}
    others = [key for key in Config.model_fields if key not in shown and key not in _LAYERS and _models_of(key)]
    for key in others:
        yield f"## `{key}`\n\n{_first_line(_models_of(key)[0])}\n\n{_table(_rows(_models_of(key)[0]))}"
    yield "## Layers that name more than their sections\n"
    for title, model in (("`cells[]`", CellLayer), ("`variants.NAME`", VariantLayer)):
        yield f"### {title}\n\n{_first_line(model)}\n\n{_table(_rows(model, beyond=Layer))}"


_LAYERS = frozenset({"methods", "datasets", "cells", "variants", "overrides"})


def _section_parts(section: Key) -> list[str]:
    """A section of a layer and those inside it."""
    found = section_models().items()
    return [_model_part(f"`{'.'.join(key)}`", models) for key, models in found if key[: len(section)] == section]


def _distillation(methods: tuple[Method, ...]) -> Iterable[str]:
    """Every method in a line, what several share, and each method's own."""
    yield "### Methods\n\n" + _methods_table(methods)
    for model in _shared_models(methods):
        words = f"{_first_line(model)}{_parent(model)}"
        own = [(name, field) for name, field in _rows(model, beyond=model.__mro__[1]) if not nested_models(field)]
        yield f"### Keys of {model.__name__}\n\n{words}\n\n{_table(own)}"
    for key, models in section_models(methods).items():
        if key[0] == "distillation" and len(key) > 1:
            notes = {model: _other_defaults(key[1:], model, methods) for model in models}
            yield _model_part(f"`{'.'.join(key)}`", models, notes)
    for method in methods:
        yield from _own_part(method)


def _tasks() -> Iterable[str]:
    """What every downstream task has, and each task's own keys with its source."""
    yield f"### Keys of every task\n\n{_first_line(TaskSettings)}\n\n{_table(_rows(TaskSettings))}"
    for name, task in TASKS.items():
        own = _rows(task.settings_model, beyond=TaskSettings)
        words = f"{task.summary} {task.reference}."
        yield f"### `downstream.{name}`\n\n{words}\n" + (f"\n{_table(own)}" if own else "")


def _methods_table(methods: tuple[Method, ...]) -> str:
    lines = ["| method | what it does | keys of | scaled by | published settings |", "|---|---|---|---|---|"]
    for method in methods:
        base = _shared_base(method)
        cells = ", ".join(dict.fromkeys(dataset for dataset, _ in method.published))
        scales = ", ".join(f"`{name}`" for name in method.scales)
        source = "" if method.reference == "-" else f" {method.reference}."
        words = f"{method.title}. {method.summary}{source}"
        shared = "-" if base is None else base.__name__
        lines.append(f"| `{method.name}` | {words} | {shared} | {scales or '-'} | {cells or '-'} |")
    return "\n".join(lines) + "\n"


def _shared_models(methods: tuple[Method, ...]) -> list[type[BaseModel]]:
    """Models that methods' settings derive from, the more general first."""
    mros = [method.settings_model.__mro__ for method in methods if method.settings_model is not None]
    bases = dict.fromkeys(base for mro in mros for base in mro if _is_shared(base) and _rows(base))
    places = {model: place for place, model in enumerate(vars(shared_settings).values()) if isinstance(model, type)}
    return sorted(bases, key=lambda model: places.get(model, len(places) + len(model.__mro__)))


def _is_shared(model: type[BaseModel]) -> bool:
    """Whether a model lies in the room of the settings, not in a method's folder."""
    room = shared_settings.__name__.rpartition(".")[0]
    return model.__module__.startswith(f"{room}.") and issubclass(model, shared_settings.DistillationSettings)


def _shared_base(method: Method) -> type[BaseModel] | None:
    """The shared model that a method's settings are, or derive from."""
    mro = () if method.settings_model is None else method.settings_model.__mro__
    return next((model for model in mro if _is_shared(model)), None)


def _parent(model: type[BaseModel]) -> str:
    """Whose keys a shared model has besides its own."""
    parent = model.__mro__[1]
    return f" All keys of {parent.__name__}, and:" if _rows(parent) else ""


def _own_part(method: Method) -> Iterable[str]:
    """A method's own keys, and what its layer sets; nothing where it has neither."""
    base, model = _shared_base(method), method.settings_model
    if model is None or base is None:
        return
    own = [(name, field) for name, field in _rows(model, beyond=base) if not nested_models(field)]
    layer = ", ".join(f"`{'.'.join(key[1:])}: {value}`" for key, value in flatten(method.settings))
    if own or layer:
        table = f"\n{_table(own)}" if own else ""
        sets = f"Sets {layer}.\n" if layer else ""
        yield f"### Method `{method.name}`\n\n{sets}{table}"


def _model_part(
    title: str, models: Iterable[type[BaseModel]], notes: Mapping[type[BaseModel], str] | None = None
) -> str:
    """A section: each model that may stand there, with what is to be said of it beneath."""
    parts = [f"### {title}\n"]
    for model in models:
        if model is NetworkSettings and title != "`network`":
            parts.append("A network, with the keys of [`network`](#network).\n")
        else:
            parts.append(f"{_first_line(model)}\n\n{_table(_rows(model))}")
        if notes and notes[model]:
            parts.append(f"{notes[model]}\n")
    return "\n".join(parts)


def _other_defaults(section: Key, model: type[BaseModel], methods: Iterable[Method]) -> str:
    """Which methods have other defaults in a section than its model, and which; the same ones are said once."""
    found: dict[str, list[str]] = {}
    for method in methods:
        values = _section_values(method, section)
        if type(values) is model and (words := _unlike_the_model(values)):
            found.setdefault(words, []).append(f"`{method.name}`")
    return " ".join(f"Other defaults of {', '.join(names)}: {words}." for words, names in found.items())


def _section_values(method: Method, section: Key) -> Any:
    """What a method has in a section of `distillation` by default; ``None`` where it has no such section."""
    values: Any = None if method.settings_model is None else method.settings_model()
    for key in section:
        names = {field.alias or name: name for name, field in getattr(type(values), "model_fields", {}).items()}
        values = getattr(values, names[key]) if key in names else None
    return values


def _unlike_the_model(values: BaseModel) -> str:
    """The values that are not the defaults of their model, as a configuration writes them."""
    fields = {name: field for name, field in type(values).model_fields.items() if not nested_models(field)}
    found = {
        field.alias or name: getattr(values, name)
        for name, field in fields.items()
        if getattr(values, name) != field.get_default(call_default_factory=True)
    }
    written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}
    return ", ".join(f"`{key}: {value}`" for key, value in written.items())


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _rows(model: type[BaseModel], *, beyond: type[BaseModel] | None = None) -> list[tuple[str, Any]]:
    """Keys of a model; ``beyond`` another, those that it has besides or with another default."""
    known = {} if beyond is None else getattr(beyond, "model_fields", {})
    return [
        (field.alias or name, field)
        for name, field in model.model_fields.items()
        if name not in known or known[name].default != field.default
    ]


def _table(rows: list[tuple[str, Any]]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in rows:
        default = "required" if field.is_required() else f"`{_default(field)}`"
        words = (field.description or "").replace("|", r"\|")  # a bar would end the cell
        lines.append(f"| `{name}` | {_type(field)} | {default} | {words} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "see below"
    return json.dumps(value, default=lambda model: model.model_dump(mode="json"))


def _type(field: Any) -> str:
    """Type and range in words, from the field's own JSON schema."""
    try:
        schema = TypeAdapter(field.annotation).json_schema()
    except Exception as error:  # pragma: no cover - every annotation in use has a schema
        raise RuntimeError(f"no schema for {field.annotation}") from error
    limits = {"Ge": "≥", "Gt": ">", "Le": "≤", "Lt": "<"}
    ranges = [
        f"{limits[type(item).__name__]} {next(iter(vars(item).values())) if hasattr(item, '__dict__') else _limit(item)}"
        for item in field.metadata
        if type(item).__name__ in limits
    ]
    return " ".join([_words(schema), ", ".join(ranges)]).strip()


def _limit(item: Any) -> Any:
    return getattr(item, type(item).__name__.lower())


def _words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_words(part) for part in schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "prefixItems" in schema:  # a tuple of so many values
        return f"[{', '.join(_words(part) for part in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        return f"list of {_words(schema.get('items', {}))}"
    names = {"object": "keys with values", "integer": "whole number", "string": "text", "boolean": "true or false"}
    kind = str(schema.get("type", "object"))
    return names.get(kind, kind)


def write_reference(root: Path) -> list[Path]:
    """Write the schema and the page of all settings, of our own methods, below ``root``; returns their paths."""
    written = {root / SCHEMA_FILE: schema_text(OWN), root / REFERENCE_FILE: reference_text(OWN)}
    for path, text in written.items():
        write_text(path, text)
    return list(written)
