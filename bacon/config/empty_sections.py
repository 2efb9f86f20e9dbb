"""Keys that hold other keys and are left empty: ``data:`` with nothing under it is as if it were not there.

Where a setting may be ``null``, such as the part ``sharpness`` of a training, ``null`` is its value: there is no such part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bacon.config.sections import Key, optional_sections, section_models


def without_empty_sections(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The values without sections that hold ``null``; an entry of a mapping, such as ``data.NAME``, becomes one without keys.

    Args:
        plain: a configuration; values of the wrong kind are left for the check.
    """
    kept = {key: value for key, value in plain.items() if value is not None or not _is_section(key)}
    for key, value in kept.items():
        if key == "cells" and isinstance(value, list | tuple):
            kept[key] = [_layer(each) for each in value]
        elif key in _ENTRIES and isinstance(value, Mapping):
            kept[key] = {name: _entry(key, each) for name, each in value.items()}
    return kept


_ENTRIES = ("data", "networks", "protocols", "methods", "variants", "datasets", "overrides", "downstream")
"""Keys of the file that hold entries with names."""

_PLAIN = ("data", "networks", "downstream")
"""Those of them whose entries are no layers: they hold values, no sections."""


def _is_section(key: Any) -> bool:
    return key in _ENTRIES or key in ("cells", "grid", "report", "run")


def _entry(key: str, value: Any) -> Any:
    if value is None:
        return {}
    return value if key in _PLAIN else _layer(value)


def _layer(value: Any) -> Any:
    """A layer without its empty sections, and without the empty ones inside them but those that may be ``null``."""
    return _without(value, ()) if isinstance(value, Mapping) else value


def _without(values: Mapping[str, Any], place: Key) -> dict[str, Any]:
    sections, optional = section_models(), optional_sections()
    kept: dict[str, Any] = {}
    for name, value in values.items():
        inside = (*place, str(name))
        is_section = inside in sections
        if value is None and is_section and inside not in optional:
            continue
        kept[name] = _without(value, inside) if is_section and isinstance(value, Mapping) else value
    return kept
