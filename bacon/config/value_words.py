"""What is wrong with a value, in the words of the file it stands in: a list, text, a whole number, true or false."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_LONGEST = 80
_KINDS: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "mapping_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "none_required": "null",
}
"""Type of an error that says a value is of another kind -> what it must be."""
_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("greater than or equal to", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("less than or equal to", "le"),
}


@dataclass(frozen=True)
class Mistake:
    """One mistake in a configuration.

    Attributes:
        key: path of the key, as the file writes it; positions in lists are numbers, from 0.
        type: pydantic's name of the error.
        value: what was found.
        words: what is allowed; begins with a verb (must be ...) or is a sentence of its own.
        allowed: the values that the key takes, where they are few.
    """

    key: tuple[str, ...]
    type: str
    value: Any
    words: str
    allowed: tuple[str, ...] = ()

    @property
    def shows_value(self) -> bool:
        """Whether the value helps: of several keys together, the message says which are wrong."""
        return self.type != "missing" and not isinstance(self.value, Mapping)


def shown(value: Any) -> str:
    """A value as YAML writes it, cut to one line."""
    text = _yaml(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def printable(text: str) -> str:
    """A text for a line of a message: in quotes where it holds a line break or another character that cannot be printed."""
    return text if text.isprintable() else repr(text)


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{printable(str(key))}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return repr(value) if isinstance(value, str | int | float) else repr(str(value))


def mistakes(error: ValidationError, data: Any) -> list[Mistake]:
    """Every mistake of a validation error, each once.

    Where a key takes values of several kinds, pydantic has a message for each kind; one line stands for them.

    Args:
        error: what pydantic raised.
        data: the value that was validated, in which the keys are looked up.
    """
    groups: dict[tuple[str, ...], dict[str, list[Mistake]]] = {}
    for problem in error.errors():
        key, union, branch = _located(problem["loc"], data, problem["type"])
        groups.setdefault(union if branch else key, {}).setdefault(branch, []).append(
            _mistake(key, problem["type"], problem["input"], problem.get("ctx", {}), problem["msg"])
        )
    found = [mistake for union, branches in groups.items() for mistake in _of_group(union, branches)]
    return [each for each in found if each.type != "too_short" or not any(_is_below(other, each) for other in found)]


def _is_below(mistake: Mistake, other: Mistake) -> bool:
    """Whether a mistake is one of the values in ``other``'s list: pydantic counts only the right ones of them."""
    return len(mistake.key) > len(other.key) and mistake.key[: len(other.key)] == other.key


def _of_group(union: tuple[str, ...], branches: Mapping[str, list[Mistake]]) -> Iterator[Mistake]:
    """The mistakes of the kind that the value was meant as; where it is of none, what it may be."""
    inside = [found for found in branches.values() if any(_is_inside(each, union) for each in found)]
    if inside or len(branches) == 1:
        yield from (inside or list(branches.values()))[0]
        return
    first = next(iter(branches.values()))[0]
    kinds = dict.fromkeys(_KINDS[each.type] for found in branches.values() for each in found)
    yield Mistake(union, first.type, first.value, _must_be(" or ".join(kinds), first.value))


def _is_inside(mistake: Mistake, union: tuple[str, ...]) -> bool:
    return len(mistake.key) > len(union) or mistake.type not in _KINDS


def _located(location: Iterable[int | str], data: Any, kind: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Where an error is: the key, and for one of several kinds of value the key that takes them and the kind's label."""
    key: list[str] = []
    union: tuple[str, ...] = ()
    branch, current, parts = "", data, list(location)
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if _holds(current, part):
            current = current[part]
            key.append(str(part))
        elif is_last and kind == "missing":
            key.append(str(part))
        elif not branch:
            union, branch = tuple(key), str(part)
    return tuple(key), union, branch


def _holds(values: Any, part: int | str) -> bool:
    if isinstance(values, Mapping):
        return part in values
    return isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)


def _mistake(key: tuple[str, ...], kind: str, value: Any, context: Mapping[str, Any], said: str) -> Mistake:
    if kind == "missing" and key and key[-1].isdigit():
        found = _counted(len(value)) if isinstance(value, list | tuple) else "too few values"
        return Mistake(key[:-1], "too_few", value, f"holds {found}; it needs {int(key[-1]) + 1}")
    if kind == "literal_error":
        allowed = tuple(_allowed_values(context["expected"]))
        return Mistake(key, kind, value, one_of(value, allowed), allowed)
    return Mistake(key, kind, value, _words(kind, value, context, said))


def _words(kind: str, value: Any, context: Mapping[str, Any], said: str) -> str:
    if kind in _KINDS:
        return _must_be(_KINDS[kind], value)
    if kind in _LIMITS:
        words, name = _LIMITS[kind]
        return f"must be {words} {_plain(context[name])}"
    if kind in _OTHERS:
        return _OTHERS[kind](context)
    return _own_words(said)


def _allowed_values(expected: str) -> list[str]:
    """The values in pydantic's ``'a', 'b' or 'c'``, in which numbers are without quotes."""
    return [part.strip("'") for part in re.split(", | or ", expected)]


def one_of(value: Any, allowed: Iterable[str]) -> str:
    """That a value must be one of several, and which it may have been meant as."""
    names = list(dict.fromkeys(allowed))
    listing = " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
    close = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.7)
    return f"must be {listing}{f'; did you mean {close[0]!r}?' if close else ''}"


def _must_be(kind: str, value: Any) -> str:
    """With what to do where the value shows it: brackets around a single value, quotes around a number."""
    if value is None:
        return f"is empty; it must be {kind}, or leave the key out"
    if kind == "text" and isinstance(value, bool | int | float):
        return f"must be text; put it in quotes: '{_yaml(value)}'"
    if kind == "a list" and isinstance(value, str | int | float):
        return f"must be a list, such as [{value if isinstance(value, str) else _yaml(value)}]"
    return f"must be {kind}"


def _own_words(said: str) -> str:
    """What one of our own validators says; other messages of pydantic's begin with the input."""
    own = said.removeprefix("Value error, ")
    text = own if own != said else f"must{said.removeprefix('Input should')}"
    return f"{text[:1].lower()}{text[1:]}" if not text[:2].isupper() else text


def _counted(number: int) -> str:
    return "one value" if number == 1 else f"{number} values"


def _plain(number: Any) -> str:
    return f"{number:g}" if isinstance(number, float) and math.isfinite(number) else str(number)


_OTHERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "too_short": lambda context: f"must hold at least {_counted(context['min_length'])}",
    "too_long": lambda context: f"must hold at most {_counted(context['max_length'])}",
    "invalid_key": lambda _: "a key must be text; put it in quotes",
}
