"""Read configuration files and `key=value` entries of a command line, the same for ``bacon`` and for Snakemake."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bacon.config.value_words import printable
from bacon.config.yaml_values import parse_yaml
from bacon.runtime.errors import BaconError

_ENTRY = re.compile(r"([a-zA-Z_][\w-]*\w)=(.*)", re.DOTALL)


def read_merged(files: Iterable[Path | str], entries: Iterable[str] = ()) -> dict[str, Any]:
    """The values of several configuration files and entries; later ones win, key by key.

    Args:
        files: configuration files, YAML or JSON.
        entries: ``key=value``, as ``snakemake --config`` takes them.

    Raises:
        BaconError: one cannot be read; the message says which, and where.
    """
    merged: dict[str, Any] = {}
    for path in files:
        _merge(merged, read_file(path))
    for entry in entries:
        _merge(merged, read_entry(entry))
    return merged


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        under = below.get(key)
        if isinstance(value, Mapping) and isinstance(under, dict):
            _merge(under, value)
        else:
            below[key] = value


def read_file(path: Path | str) -> dict[str, Any]:
    """The values of a configuration file.

    Raises:
        BaconError: it is no file, cannot be read, is not text in UTF-8, is not YAML, repeats a key, or holds no keys.
    """
    text = _text(Path(path))
    value = _json(text)
    value = parse_yaml(text, source=str(path)) if value is None else value
    if value is None:
        raise BaconError(f"{path}: is empty; a configuration holds keys, such as `preset: demo`")
    return _keys(value, str(path))


def read_entry(entry: str) -> dict[str, Any]:
    """The value of ``key=value``; without a value the key is empty.

    Raises:
        BaconError: it has another form, or its value is not YAML.
    """
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise BaconError(f"--config {printable(entry)}: not of the form KEY=VALUE, for example --config preset=smoke")
    key, text = found[1], found[2].strip("'\"")
    return {key: parse_yaml(text, source=f"--config {key}={printable(text)}")}


def _json(text: str) -> Any:
    """The value of a JSON text without repeated keys; ``None`` for any other: the reader of YAML has the words for it."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None


def _keys(value: Any, source: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        raise BaconError(f"{source}: begins with a list; a configuration holds keys, such as `preset: demo`")
    advice = "; a space must follow the colon of `key: value`" if isinstance(value, str) and ":" in value else ""
    raise BaconError(f"{source}: holds a single value; a configuration holds keys, such as `preset: demo`{advice}")


def _text(path: Path) -> str:
    if path.is_dir():
        raise BaconError(f"{path}: is a folder; name a configuration file{_nearby(path)}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BaconError(f"{path}: cannot be read: there is no such file{_similar(path)}") from None
    except (OSError, ValueError) as error:
        raise BaconError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BaconError(f"{path}, line {line}: is not text in UTF-8; save the file with the encoding UTF-8") from None


def _nearby(folder: Path) -> str:
    found = sorted(each.name for each in folder.glob("*.y*ml"))[:3]
    return f" in it, such as {folder / found[0]}" if found else ""


def _similar(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor a folder {path.parent})"
    names = {each.name for each in path.parent.iterdir() if each.is_file()}
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean {path.parent / close[0]}?" if close else f" (looked in {path.parent.absolute()})"
