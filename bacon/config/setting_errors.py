"""Errors of settings that a person can act on: the key, the value found, what is allowed, the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bacon.config.model import Config
from bacon.config.sections import Key, key_names, section_models
from bacon.config.value_words import Mistake, mistakes, one_of, printable, shown
from bacon.runtime.errors import BaconError

# Characters of names that a message lists, and how many names of a longer list.
_LISTED, _NEAREST = 200, 5


def flatten(values: Mapping[str, Any], prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Leaves of nested mappings as (key path, value); lists are leaves."""
    for name, value in values.items():
        key = (*prefix, str(name))
        if isinstance(value, Mapping):
            yield from flatten(value, key)
        else:
            yield key, value


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to ``name``, if any is close."""
    lowered = {candidate.lower(): candidate for candidate in allowed}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def check_name(what: str, name: str, allowed: Iterable[str], *, extra: str = "") -> None:
    """Raise :class:`BaconError` unless ``name`` is allowed; ``what`` is the key that holds it."""
    names = tuple(allowed)
    if name in names:
        return
    hint = nearest(name, names)
    suggestion = f"; did you mean {hint!r}?" if hint else ""
    raise BaconError(f"{what} = {name!r} is unknown{suggestion} ({listing(name, names)}{extra})")


def listing(name: str, allowed: Iterable[str]) -> str:
    """The allowed names for a message: all of a few; of many the nearest to ``name``, and how many there are."""
    names = tuple(allowed)
    if len(whole := ", ".join(names)) <= _LISTED:
        return f"allowed: {whole}"
    close = difflib.get_close_matches(name, names, n=_NEAREST, cutoff=0.0)
    return f"nearest: {', '.join(close)}; {len(names)} are allowed"


def layer_mistakes(label: str, values: Mapping[Key, Any]) -> Iterator[str]:
    """A line for each key of a layer that no method has, and each value that none would take.

    Args:
        label: what the layer is called.
        values: key -> value.
    """
    for key, value in values.items():
        try:
            _check_key(label, key, value)
        except BaconError as error:
            yield str(error)


def _check_key(label: str, key: Key, value: Any) -> None:
    sections = section_models()
    section, name = key[:-1], key[-1]
    models = sections.get(section)
    place = _dotted((label, *key))
    if models is None:
        raise BaconError(f"{place} = {shown(value)}: {'.'.join(section)} is a single value and has no keys")
    known = [model for model in models if name in key_names(model)]
    if not known:
        check_name(f"{label}.{'.'.join(section)}: key", name, _all_names(models))
    if not any(_is_taken(model, name, value) for model in known):
        if key in sections:
            raise BaconError(f"{place} = {shown(value)}: must hold keys: {', '.join(_all_names(sections[key]))}")
        raise BaconError(_value_error(place, known, name, value))


def _is_taken(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a model takes a value; of two methods with a key of one name, one may have a section there."""
    return not _wrong(model, name, value)


def _wrong(model: type[BaseModel], name: str, value: Any) -> list[Mistake]:
    """What is wrong with one key's value by itself, whatever the other keys are; also what a validator of the field says."""
    data = {name: value}
    try:
        made = model.model_validate(data)
    except ValidationError as error:
        return [mistake for mistake in mistakes(error, data) if mistake.key[:1] == (name,)]
    field = next(own for own, field in model.model_fields.items() if name in (own, field.alias))
    return numbers_from_words(value, getattr(made, field), (name,))


def _value_error(place: str, models: list[type[BaseModel]], name: str, value: Any) -> str:
    """A line for each mistake: the first model's, with the values that any of the models allows."""
    found = [_wrong(model, name, value) for model in models]
    allowed = [each for mistakes_of in found for mistake in mistakes_of for each in mistake.allowed]
    lines = []
    for mistake in found[0]:
        if mistake.type == "extra_forbidden":
            lines.append(_unknown_key(mistake, _dotted((place, *mistake.key[1:])), models[0]))
            continue
        words = one_of(mistake.value, allowed) if mistake.allowed else _keys_in_words(mistake, models[0])
        lines.append(_line(replace(mistake, words=words), place, mistake.key[1:]))
    return "\n".join(lines)


def numbers_from_words(raw: Any, made: Any, key: Key = ()) -> list[Mistake]:
    """Where ``true`` or ``false`` was taken for the number 1 or 0.

    Args:
        raw: the values as they were read.
        made: what the models made of them.
        key: path of the values.
    """
    if isinstance(raw, bool) and isinstance(made, int | float) and not isinstance(made, bool):
        return [Mistake(key, "int_type", raw, "must be a number")]
    if isinstance(raw, Mapping):
        pairs = [(str(name), value, _made_of(made, str(name))) for name, value in raw.items()]
    elif isinstance(raw, list | tuple) and isinstance(made, list | tuple):
        pairs = [(str(number), *pair) for number, pair in enumerate(zip(raw, made, strict=False))]
    else:
        return []
    return [found for name, value, inner in pairs for found in numbers_from_words(value, inner, (*key, name))]


def _made_of(made: Any, name: str) -> Any:
    if isinstance(made, Mapping):
        return made.get(name)
    fields = type(made).model_fields if isinstance(made, BaseModel) else {}
    return next((getattr(made, own) for own, field in fields.items() if name in (own, field.alias)), None)


def _all_names(models: Iterable[type[BaseModel]]) -> list[str]:
    return sorted(set().union(*(key_names(model) for model in models)))


def describe(error: ValidationError, data: Any, place: str = "", model: type[BaseModel] | None = None) -> str:
    """Every problem of a validation error, one per line: key, value, what is allowed, nearest valid name.

    Args:
        error: what pydantic raised.
        data: the values that were validated.
        place: the key's place when the error itself does not know it.
        model: the model that was validated, to suggest names for unknown keys.
    """
    return describe_all(mistakes(error, data), place, model)


def describe_all(found: Iterable[Mistake], place: str = "", model: type[BaseModel] | None = None) -> str:
    """As :func:`describe`, of mistakes."""
    return "\n".join(dict.fromkeys(_describe_one(mistake, place, model) for mistake in found))


def _describe_one(mistake: Mistake, place: str, model: type[BaseModel] | None) -> str:
    if mistake.type == "extra_forbidden":
        return _unknown_key(mistake, place or _dotted(mistake.key), model)
    words = mistake.words if model is None else _keys_in_words(mistake, model)
    return _line(replace(mistake, words=words), place, () if place else mistake.key)


def _unknown_key(mistake: Mistake, place: str, model: type[BaseModel] | None) -> str:
    allowed = _names_at(model, mistake.key[:-1]) if model else []
    hint = nearest(mistake.key[-1], allowed) or _elsewhere(mistake.key[-1], model)
    suggestion = f"; did you mean {hint!r}?" if hint else ""
    known = f" ({listing(mistake.key[-1], allowed)})" if allowed else ""
    return f"{place} = {shown(mistake.value)}: unknown key{suggestion}{known}"


_NAMED_ENTRIES = {
    "methods": "must hold names of methods as keys; the methods of the grid are listed under grid.methods",
    "datasets": "must hold names of data sets as keys; the data sets of the grid are listed under grid.datasets",
    "networks": "must hold names of networks as keys; those of the grid are listed under grid.networks",
    "data": "must hold names of data sets as keys",
    "variants": "must hold names of variants as keys",
    "overrides": "must hold patterns of cells as keys, such as digits/bacon/*",
}
"""Key of the file whose own keys are names -> what it must hold."""


def _keys_in_words(mistake: Mistake, model: type[BaseModel]) -> str:
    """The words of a mistake; where keys are wanted, which."""
    if mistake.words != "must be keys with values":
        return mistake.words
    if model is Config and len(mistake.key) == 1 and mistake.key[0] in _NAMED_ENTRIES:
        return _NAMED_ENTRIES[mistake.key[0]]
    section = section_models().get(("network",) if mistake.key[:1] == ("networks",) else mistake.key[-1:])
    allowed = _all_names(section) if section else _names_at(model, mistake.key)
    return f"must hold keys: {', '.join(allowed)}" if allowed else mistake.words


def _line(mistake: Mistake, place: str, key: Key) -> str:
    where = _dotted((place, *key)) or "configuration"
    return f"{where} = {shown(mistake.value)}: {mistake.words}" if mistake.shows_value else f"{where}: {mistake.words}"


def _dotted(key: Key) -> str:
    return ".".join(printable(part) for part in key if part)


def _elsewhere(name: str, model: type[BaseModel] | None) -> str | None:
    """Where a key of this name would stand, where it is one of another part of the file."""
    if model is not Config:
        return None
    for part, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        if part in ("grid", "run", "report") and inner is not None and name in key_names(inner):
            return f"{part}.{name}"
    sections = [section for section, models in section_models().items() if name in _all_names(models)]
    found = min(sections, key=len, default=None)
    return f"methods.NAME.{'.'.join(found)}.{name}" if found else None


def _names_at(model: type[BaseModel], location: Key) -> list[str]:
    """The keys allowed at a place inside a model, following mappings and lists of models."""
    current: type[BaseModel] = model
    for part in location:
        field = {field.alias or key: field for key, field in current.model_fields.items()}.get(part)
        if field is not None:
            inner = _inner_model(field.annotation)
            if inner is None:
                return []
            current = inner
    return _all_names([current])


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner_model(part)) is not None), None)
