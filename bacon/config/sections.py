"""What each section of a layer may contain, from the settings models of preprocessing, network, methods and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator
from pydantic.fields import FieldInfo

from bacon.methods.base import Method
from bacon.methods.registry import METHODS
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.preprocessing import PreprocessingSettings

Key = tuple[str, ...]


def key_names(model: type[BaseModel]) -> set[str]:
    """The keys of a model, as a configuration writes them."""
    return {field.alias or name for name, field in model.model_fields.items()}


def section_models(methods: Iterable[Method] | None = None) -> Mapping[Key, tuple[type[BaseModel], ...]]:
    """Section -> the models that any method has there; nested sections are the models that a field chooses among.

    Args:
        methods: all known ones by default.
    """
    return _section_models(tuple(METHODS.values() if methods is None else methods))


@lru_cache(maxsize=8)
def _section_models(methods: tuple[Method, ...]) -> Mapping[Key, tuple[type[BaseModel], ...]]:
    found: dict[Key, list[type[BaseModel]]] = {}
    models: list[tuple[str, type[BaseModel] | None]] = [
        ("preprocessing", PreprocessingSettings),
        ("network", NetworkSettings),
        *(("distillation", method.settings_model) for method in methods),
        ("evaluation", EvaluationSettings),
    ]
    for section, model in models:
        if model is not None:
            _collect((section,), model, found)
    return {section: tuple(models) for section, models in found.items()}


def _collect(section: Key, model: type[BaseModel], found: dict[Key, list[type[BaseModel]]]) -> None:
    known = found.setdefault(section, [])
    if model in known:
        return
    known.append(model)
    for name, field in model.model_fields.items():
        for inner in nested_models(field):
            _collect((*section, field.alias or name), inner, found)


def nested_models(field: FieldInfo) -> tuple[type[BaseModel], ...]:
    """The models that a field chooses among; none where it holds a single value."""
    return tuple(_models(field.annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            if part is not NoneType:
                yield from _models(part)


def optional_sections(methods: Iterable[Method] | None = None) -> frozenset[Key]:
    """The nested sections for which a model takes ``null``: no such part, whatever lower layers say of it.

    Args:
        methods: all known ones by default.
    """
    return _optional_sections(tuple(METHODS.values() if methods is None else methods))


@lru_cache(maxsize=8)
def _optional_sections(methods: tuple[Method, ...]) -> frozenset[Key]:
    return frozenset(
        (*section, field.alias or name)
        for section, models in section_models(methods).items()
        for model in models
        for name, field in model.model_fields.items()
        if nested_models(field) and NoneType in get_args(field.annotation)
    )


def has_key(model: type[BaseModel], key: Key, merged: Mapping[Key, Any], place: Key) -> bool:
    """Whether ``key``, relative to ``model``, is one of its settings.

    Args:
        model: of the section at ``place``.
        key: the rest of the path.
        merged: all values, by their whole path: a tag such as ``networks.source`` decides between nested models.
        place: path of the section.
    """
    field = next((field for name, field in model.model_fields.items() if (field.alias or name) == key[0]), None)
    if field is None:
        return False
    if len(key) == 1:
        return True
    inside = (*place, key[0])
    return any(has_key(inner, key[1:], merged, inside) for inner in _chosen(field, merged, inside))


def _chosen(field: FieldInfo, merged: Mapping[Key, Any], place: Key) -> tuple[type[BaseModel], ...]:
    """Of the models that a field chooses among, the one whose tag is set at ``place``, or is the default's."""
    models, tag = nested_models(field), _tag(field)
    if tag is None:
        return models
    default = getattr(field.get_default(call_default_factory=True), tag, None)
    value = merged.get((*place, tag), default)
    return tuple(model for model in models if model.model_fields[tag].default == value)


def _tag(field: FieldInfo) -> str | None:
    """The key that decides between a field's models, however the field is annotated."""
    stated = [field.discriminator, *field.metadata]
    names = (item.discriminator if isinstance(item, Discriminator) else item for item in stated)
    return next((name for name in names if isinstance(name, str)), None)
