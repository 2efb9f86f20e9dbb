"""The JSON schema and the documentation of every key, generated from the settings models; a test holds the files equal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from bacon.config.model import CellLayer, Config, GridSettings, Layer, ReportSettings, VariantLayer
from bacon.config.presets import PRESETS
from bacon.config.sections import Key, section_models
from bacon.methods.registry import METHODS
from bacon.runtime.atomic import write_text
from bacon.settings.data import DataSettings
from bacon.settings.protocols import PROTOCOLS
from bacon.settings.run import RunSettings

SCHEMA_FILE = Path("workflow/schemas/config.schema.json")
REFERENCE_FILE = Path("config/README.md")


def config_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a configuration; the sections of layers are spelled out key by key, all optional."""
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    for name in ("Layer", "CellLayer", "VariantLayer"):
        for section in Layer.model_fields:
            definitions[name]["properties"][section] = _section_schema((section,), definitions)
    network = _section_schema(("network",), definitions)
    schema["properties"]["networks"]["additionalProperties"] = network
    return schema


def _section_schema(section: Key, definitions: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for model in section_models()[section]:
        part = model.model_json_schema(by_alias=True)
        definitions.update({key: value for key, value in part.pop("$defs", {}).items() if key not in definitions})
        for name, value in part["properties"].items():
            if (*section, name) in section_models():
                properties[name] = _section_schema((*section, name), definitions)
            elif name in properties and "const" in value:
                properties[name] = {"enum": [*_constants(properties[name]), value["const"]]}
            else:
                properties.setdefault(name, value)
    return {"type": "object", "additionalProperties": False, "properties": _plain(properties)}


def _constants(schema: Mapping[str, Any]) -> list[Any]:
    return list(schema["enum"]) if "enum" in schema else [schema["const"]]


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    """Without defaults and titles: in a partial layer a missing key means "as the layer below"."""
    dropped = ("default", "title")
    return {
        name: {key: item for key, item in value.items() if key not in dropped} for name, value in properties.items()
    }


def schema_text() -> str:
    """The committed schema file."""
    return json.dumps(config_schema(), indent=1, sort_keys=True) + "\n"


_INTRODUCTION = """# Configuration

`config.yaml` is the default: the embedded digits. `paper.yaml` holds the paper's 11 cells. Give another file with
`--configfile FILE`, or single values with `--config 'preset=smoke'`. This page is generated from the typed settings in
`bacon/settings` and `bacon/config/model.py` (`bacon reference --write`); `bacon config --cell digits/bacon/ipc10/seed0`
prints the settings of one cell and the layer each value came from.

In YAML write `5.0e-4`, not `5e-4`: the latter is a string.

## Layers

A cell's settings are layered, later layers win key by key:

1. the defaults below, then `protocol`, the evaluation's (one of {protocols}),
2. `preset`: one of {presets},
3. the method: its built-in settings (`bacon/methods/`), then `methods.NAME`; a variant has those of its method,
4. the data set: its built-in settings (`bacon/datasets/registry.py`), then `datasets.NAME`,
5. the (data set, IPC): `cells`, a list of layers with `dataset`, `ipc` and, if it is for some methods only, `methods`,
6. the variant, where the cell's method is one: `variants.NAME`,
7. `overrides`: from patterns of cells, such as `digits/bacon/ipc10/seed*` or `digits/full`, to settings.

A layer has the sections `network`, `distillation` and `evaluation`. A key that a method does not have (iterations, for a
random coreset) does not concern it, unless the layer names that method: then it is an error.

A change makes exactly those artifacts stale whose numbers it can change. Nothing under `run` makes anything stale.

## Methods

{methods}
"""


def reference_text() -> str:
    """``config/README.md``: every key with its type, default and meaning."""
    methods = "\n".join(f"- `{m.name}` ({m.title}): {m.summary} {m.reference}." for m in METHODS.values())
    parts = [
        _INTRODUCTION.format(
            protocols=", ".join(f"`{name}`" for name in PROTOCOLS),
            presets=", ".join(f"`{name}`" for name in PRESETS),
            methods=methods,
        )
    ]
    parts.append("## Top level\n\n" + _table(list(Config.model_fields.items())))
    for title, model in (
        ("`grid`", GridSettings),
        ("`data.NAME`", DataSettings),
        ("`report`", ReportSettings),
        ("`run`", RunSettings),
    ):
        parts.append(_model_part(title, (model,)))
    parts.append(
        _model_part("`variants.NAME`, besides the sections below", (VariantLayer,), skip=set(Layer.model_fields))
    )
    parts.append(_model_part("`cells[]`, besides the sections below", (CellLayer,), skip=set(Layer.model_fields)))
    titles = {
        ("network",): "Section `network`",
        ("distillation",): "Section `distillation`",
        ("distillation", "objective"): "Section `distillation.objective`",
        ("distillation", "networks"): "Section `distillation.networks`",
        ("evaluation",): "Section `evaluation`",
    }
    parts += [_model_part(titles[section], models) for section, models in section_models().items()]
    return "\n".join(parts)


def _model_part(title: str, models: Iterable[type[BaseModel]], *, skip: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    parts = [f"## {title}\n"]
    for model in models:
        rows = [(field.alias or name, field) for name, field in model.model_fields.items() if name not in skip]
        parts.append(f"{(model.__doc__ or '').strip().splitlines()[0]}\n\n{_table(rows)}")
    return "\n".join(parts)


def _table(rows: list[tuple[str, Any]]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in rows:
        default = "required" if field.is_required() else f"`{_default(field)}`"
        lines.append(f"| `{name}` | {_type(field)} | {default} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "see below"
    return json.dumps(value)


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
    if schema.get("type") == "array":
        return "list of " + _words(schema.get("items", {}))
    names = {"object": "mapping", "null": "null"}
    kind = str(schema.get("type", "object"))
    return names.get(kind, kind)


def write_reference(root: Path) -> list[Path]:
    """Write the schema and the key reference below ``root``; returns their paths."""
    written = {root / SCHEMA_FILE: schema_text(), root / REFERENCE_FILE: reference_text()}
    for path, text in written.items():
        write_text(path, text)
    return list(written)
