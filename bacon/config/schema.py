"""The JSON schema of a configuration, generated from the settings models, for editors and for people's own checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bacon.config.model import Config, Layer
from bacon.config.sections import Key, optional_sections, section_models
from bacon.methods.base import Method

SCHEMA_FILE = Path("workflow/schemas/config.schema.json")


def config_schema(methods: Iterable[Method] | None = None) -> dict[str, Any]:
    """JSON schema (2020-12) of a configuration; the sections of layers are spelled out key by key, all optional."""
    methods = None if methods is None else tuple(methods)
    sections = section_models(methods)
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    for name in ("Layer", "CellLayer", "VariantLayer"):
        for section in Layer.model_fields:
            definitions[name]["properties"][section] = _section_schema((section,), sections, definitions)
        _allow_null(definitions[name], optional_sections(methods))
    network = _section_schema(("network",), sections, definitions)
    schema["properties"]["networks"]["additionalProperties"] = network
    return schema


def _section_schema(
    section: Key, sections: Mapping[Key, tuple[type[BaseModel], ...]], definitions: dict[str, Any]
) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for model in sections[section]:
        part = model.model_json_schema(by_alias=True)
        definitions.update({key: value for key, value in part.pop("$defs", {}).items() if key not in definitions})
        for name, value in part["properties"].items():
            if (*section, name) in sections:
                properties[name] = _section_schema((*section, name), sections, definitions)
            elif name in properties and "const" in value:
                properties[name] = {"enum": [*_constants(properties[name]), value["const"]]}
            else:
                properties.setdefault(name, value)
    return {"type": "object", "additionalProperties": False, "properties": _plain(properties)}


def _allow_null(layer: dict[str, Any], optional: Iterable[Key]) -> None:
    """Let the sections of a layer be ``null`` that may be."""
    for section in optional:
        part: dict[str, Any] = layer
        for name in section:
            part = part.get("properties", {}).get(name, {})
        if part:
            part["type"] = ["object", "null"]


def _constants(schema: Mapping[str, Any]) -> list[Any]:
    return list(schema["enum"]) if "enum" in schema else [schema["const"]]


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    """Without defaults and titles: in a partial layer a missing key means "as the layer below"."""
    dropped = ("default", "title")
    return {
        name: {key: item for key, item in value.items() if key not in dropped} for name, value in properties.items()
    }


def schema_text(methods: Iterable[Method] | None = None) -> str:
    """The schema as a file, with the settings of ``methods``, by default of all known ones."""
    return json.dumps(config_schema(methods), indent=1, sort_keys=True) + "\n"
