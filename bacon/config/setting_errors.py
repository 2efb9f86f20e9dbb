"""Errors of settings that a person can act on: the key, the value found, what is allowed, the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from bacon.config.sections import Key, key_names, section_models
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


def check_layer(label: str, values: Mapping[Key, Any]) -> None:
    """Raise :class:`BaconError` for a key that no method has, or a value that none would take."""
    sections = section_models()
    for key, value in values.items():
        section, name = key[:-1], key[-1]
        models = sections.get(section)
        place = f"{label}.{'.'.join(key)}"
        if models is None:
            raise BaconError(f"{place} = {value!r}: {'.'.join(section)} is a single value and has no keys")
        fields = [_field(model, name) for model in models]
        known = [field for field in fields if field is not None]
        if not known:
            check_name(f"{label}.{'.'.join(section)}: key", name, _all_names(models))
        if key in sections and not any(_takes(field, value) for field in known):
            raise BaconError(f"{place} = {value!r}: must hold keys: {', '.join(_all_names(sections[key]))}")
        _check_value(place, value, known)


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    return {field.alias or key: field for key, field in model.model_fields.items()}.get(name)


def _all_names(models: Iterable[type[BaseModel]]) -> list[str]:
    return sorted(set().union(*(key_names(model) for model in models)))


def _takes(field: FieldInfo, value: Any) -> bool:
    """Whether a field takes the value; of two methods with a key of one name, one may have a section there."""
    try:
        TypeAdapter(_annotation(field)).validate_python(value)
    except ValidationError:
        return False
    return True


def _check_value(place: str, value: Any, fields: list[FieldInfo]) -> None:
    failures: list[ValidationError] = []
    for field in fields:
        try:
            TypeAdapter(_annotation(field)).validate_python(value)
        except ValidationError as error:
            failures.append(error)
        else:
            return
    raise BaconError(describe(failures[0], place))


def _annotation(field: FieldInfo) -> Any:
    metadata = tuple(field.metadata)
    return Annotated[(field.annotation, *metadata)] if metadata else field.annotation


def describe(error: ValidationError, place: str = "", model: type[BaseModel] | None = None) -> str:
    """Every problem of a validation error, one per line: key, value, what is allowed, nearest valid name.

    Args:
        error: what pydantic raised.
        place: the key's place when the error itself does not know it.
        model: the model that was validated, to suggest names for unknown keys.
    """
    return "\n".join(_describe_one(dict(problem), place, model) for problem in error.errors())


def _describe_one(problem: dict[str, Any], place: str, model: type[BaseModel] | None) -> str:
    location = tuple(str(part) for part in problem["loc"])
    key = place or ".".join(location) or "configuration"
    if problem["type"] == "extra_forbidden":
        allowed = _names_at(model, location[:-1]) if model else []
        hint = nearest(location[-1], allowed)
        suggestion = f"; did you mean {hint!r}?" if hint else ""
        known = f" ({listing(location[-1], allowed)})" if allowed else ""
        return f"{key} = {problem['input']!r}: unknown key{suggestion}{known}"
    message = problem["msg"].removeprefix("Value error, ")
    # What several keys together are wrong about says itself which; all of them would only hide it.
    whole = problem["type"] == "missing" or isinstance(problem["input"], Mapping)
    found = "" if whole else f" = {problem['input']!r}"
    return f"{key}{found}: {message[:1].lower()}{message[1:]}"


def _names_at(model: type[BaseModel], location: Key) -> list[str]:
    """The keys allowed at a place inside a model, following mappings and lists of models."""
    current: type[BaseModel] = model
    for part in location:
        field = _field(current, part)
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
