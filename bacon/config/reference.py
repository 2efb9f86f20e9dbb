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
from bacon.config.schema import SCHEMA_FILE, schema_text
from bacon.config.sections import Key, nested_models, section_models
from bacon.config.setting_errors import flatten
from bacon.methods.base import Method
from bacon.methods.registry import METHODS, OWN
from bacon.runtime.atomic import write_text
from bacon.settings import distillation as shared_settings
from bacon.settings.network import NetworkSettings
from bacon.settings.protocols import PROTOCOLS

REFERENCE_FILE = Path("config/README.md")

_INTRODUCTION = """# Configuration

`config.yaml` is the default: the embedded digits. `paper.yaml` holds the paper's 11 cells for BACON and what it builds on,
`table1.yaml` the same cells for every method (`table1_native.yaml`: under each method's own protocol), `real_small.yaml` every
method on two real data sets in a night on two CPU cores. Give another file with `--configfile FILE`, or single values with
`--config 'preset=smoke'`. `bacon config --cell digits/bacon/ipc10/seed0` prints the settings of one cell and the layer each
value came from. This page is generated from the typed settings in `bacon/settings`, `bacon/config/model.py` and the methods'
records (`bacon reference --write`).

## How a file is read

The file is YAML 1.2, or JSON, in UTF-8; `bacon` and Snakemake read it by the same rules, and one check decides for both.

- A key that stands twice in one place is an error, whichever value it has. Anchors (`&name`), aliases (`*name`) and merge keys
  (`<<: *name`) work. A key that holds others and is left empty (`data:`) is as if it were not there.
- Numbers: `0.0005`, `5e-4`, `1_000`; numbers in quotes count as numbers. `010` is an error, since YAML readers disagree on it.
- `true` or `false`, and for keys of that type also `yes`, `no`, `on`, `off`. Elsewhere `no`, `on` and dates are text.
- Names of data sets, networks and variants are used in paths and commands: letters a-z and A-Z, digits and `. _ + -`, starting
  with a letter or a digit, at most 64 characters. What tables and figures show is `title`.
- Paths: relative ones are relative to the working directory; `~` is the home folder; all other characters stand for
  themselves, also spaces, braces and `$`.
- A value that no cell of the grid takes, because a higher layer sets the key or no cell is in its layer, gives a warning that
  names the key and the layer that wins.

A file names what is computed, and changes settings where it wants to, stage by stage: [data](#data), [networks](#networks),
[distillation](#distillation), [evaluation](#evaluation). A change makes exactly those artifacts stale whose numbers it can
change.

## Layers

A cell's settings are layered, later layers win key by key:

1. the defaults below, then `protocol`, the evaluation's (one of {protocols}),
2. `preset`: one of {presets}, and what the method's record says of it,
3. the method: its built-in settings, with the preset `paper` those that its authors published for a data set and IPC
   (`bacon/methods/NAME/record.py`), then `methods.NAME`; a variant has those of its method,
4. the data set: its built-in settings (`bacon/datasets/registry.py`), then `datasets.NAME`,
5. the (data set, IPC): `cells`, a list of layers with `dataset`, `ipc` and, if it is for some methods only, `methods`,
6. the variant, where the cell's method is one: `variants.NAME`,
7. `overrides`: from patterns of cells, such as `digits/bacon/ipc10/seed*` or `digits/full`, to settings.

A layer has the sections `network`, `distillation` and `evaluation`. A key that a method does not have (iterations, for a
random coreset) does not concern it, unless the layer names that method: then it is an error.

```yaml
methods:
  bacon: {{distillation: {{objective: {{lambda: 0.5}}}}}}
datasets:
  digits: {{network: {{width: 64}}}}
cells:
  - {{dataset: digits, ipc: 10, methods: [idm, bacon], distillation: {{networks: {{ce_weight: 0.1}}}}}}
overrides:
  digits/bacon/ipc1/seed0: {{evaluation: {{epochs: 300}}}}
```
"""

# Stage -> what it is about, an example that is a whole configuration file, and the keys of the file with a model of their own.
_STAGES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "What is computed",
        "The grid: data set x method x images per class x seed. Each cell is evaluated with every network.",
        "preset: demo\ngrid:\n  datasets: [digits]\n  methods: [random, dm, bacon]\n  ipc: [1, 10]\n  seeds: 3",
        ("grid",),
    ),
    (
        "Data",
        "Data sets of the registry need no entry; your own data, and changes to registered sets, go under `data` "
        "(docs/data.md).",
        "grid: {datasets: [pictures], methods: [random, dm], ipc: [1], seeds: 1}\n"
        "data:\n  pictures: {format: imagefolder, path: pictures, size: 32}",
        ("data",),
    ),
    (
        "Networks",
        "`network`, in any layer, is the network that a cell is distilled with; `networks` defines others for the "
        "evaluation.",
        "grid: {networks: [convnet, wide, resnet18]}\nnetworks: {wide: {width: 256}}\n"
        "datasets: {digits: {network: {width: 64, depth: 2}}}",
        (),
    ),
    (
        "Distillation",
        "The section `distillation` of a layer. Each method has its own keys besides the shared ones.",
        "methods:\n  dm: {distillation: {iterations: 1000, snapshot_interval: 200, lr_img: 0.5}}\n"
        "  idm: {distillation: {networks: {ce_weight: 0.1, capacity: 50}}}",
        (),
    ),
    (
        "Evaluation",
        "The section `evaluation` of a layer: how networks are trained on a synthetic set and tested (docs/evaluation.md).",
        "preset: demo\ndatasets: {digits: {evaluation: {seeds: 10, epochs: 200}}}",
        (),
    ),
    (
        "Tables and report",
        "What every method is compared with (docs/statistics.md).",
        "grid: {methods: [random, dm, idm, bacon]}\nreport: {references: [random, dm]}",
        ("report",),
    ),
    (
        "How jobs run",
        "Threads, devices, memory, and how often a job reports and saves.",
        "run: {threads: 4}",
        ("run",),
    ),
)
_SECTIONS = {"Networks": "network", "Evaluation": "evaluation"}


def reference_text(methods: Iterable[Method] | None = None) -> str:
    """``config/README.md``: by stage, every key with its type, default and meaning.

    Args:
        methods: all known ones by default.
    """
    methods = tuple(METHODS.values() if methods is None else methods)
    names = {"protocols": PROTOCOLS, "presets": PRESETS}
    lists = {what: ", ".join(f"`{name}`" for name in values) for what, values in names.items()}
    parts = [_INTRODUCTION.format(**lists)]
    parts.append(f"## The whole file\n\n{_table(_rows(Config))}")
    for title, words, example, keys in _STAGES:
        parts.append(f"## {title}\n\n{words}\n\n```yaml\n{example}\n```\n")
        parts += [_model_part(f"`{key}`", _models_of(key)) for key in keys]
        if title == "Distillation":
            parts += list(_distillation(methods))
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
    shown = {key for *_, keys in _STAGES for key in keys}
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
            yield _model_part(f"`{'.'.join(key)}`", models)
    for method in methods:
        yield from _own_part(method)


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


def _model_part(title: str, models: Iterable[type[BaseModel]]) -> str:
    parts = [f"### {title}\n"]
    for model in models:
        if model is NetworkSettings and title != "`network`":
            parts.append("A network, with the keys of [`network`](#network).\n")
        else:
            parts.append(f"{_first_line(model)}\n\n{_table(_rows(model))}")
    return "\n".join(parts)


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
