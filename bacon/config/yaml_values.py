"""YAML as a person means it: keys that are given once, numbers that are numbers, names that stay text.

The reader follows the core schema of YAML 1.2, as editors do: ``5e-4`` is a number; ``no``, ``on``, ``12:30``, ``2024-01-01``
are text (a setting that is true or false takes yes, no, on and off too). Where YAML 1.1 and 1.2 read the same characters as
different numbers (``010`` is 8 or 10), it is an error. Anchors, aliases and merge keys (``<<``) work; a repeated key does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bacon.runtime.errors import BaconError

_TAG = "tag:yaml.org,2002:"
_MOST_VALUES = 100_000
"""Values of a configuration, aliases written out: a few lines of nested aliases can stand for billions."""
_FLOAT = (
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class _Loader(yaml.SafeLoader):
    """PyYAML's scanner and parser, with the scalars of the core schema."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - declared so by PyYAML


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, which puts text in quotes where a reader of YAML 1.1, or this one, would take it for something else."""


for _name, _pattern, _starts in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
    ("merge", "<<", ["<"]),
):
    for _reader_or_writer in (_Loader, _Dumper):
        _reader_or_writer.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _starts)


def yaml_text(values: Any, *, width: float = 120, flow: bool = False, quotes: str | None = None) -> str:
    """YAML that :func:`parse_yaml` reads as the same values; keys keep their order.

    Args:
        values: mappings, lists, text, numbers, booleans, ``None``.
        width: characters of a line, where it can be broken.
        flow: in braces and brackets instead of lines.
        quotes: the quotes of every text; by default none where none are needed.
    """
    options: dict[str, Any] = {"default_flow_style": flow, "default_style": quotes, "width": width}
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **options))


def parse_yaml(text: str, *, source: str) -> Any:
    """The value that a YAML text stands for: mappings with text as keys, lists, text, numbers, booleans, ``None``.

    Args:
        text: the YAML (or JSON, which is YAML too).
        source: what it was read from, for messages.

    Raises:
        BaconError: the text is not YAML, repeats a key, or holds what no configuration can hold; the message names the line.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Values(source).value(node)
    except yaml.MarkedYAMLError as error:
        raise BaconError(f"{source}{_place(error)}: {_in_words(error)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BaconError(
            f"{source}, line {line}: holds the control character U+{error.character:04X}; delete it"
        ) from None
    except RecursionError:
        raise BaconError(f"{source}: is nested too deeply; a configuration has a few levels of keys") from None


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


_ADVICE = (
    ("'\\t'", "a tab, which YAML does not take here; indent with spaces"),
    ("mapping values are not allowed", "a colon that YAML does not expect: check the indentation, or quote the text"),
    ("expected a single document", "a second document begins here (---); a configuration is one"),
    ("expected <block end>", "the indentation fits no line above it, or a bracket or quote is missing"),
    ("unindent", "the indentation fits no line above it"),
    ("could not find expected ':'", "a key without a colon, or a line that is not indented like its neighbours"),
    (
        "found undefined alias",
        "an alias (*name) whose anchor (&name) is not defined above it; text with * needs quotes",
    ),
    ("while scanning an alias", "a * begins an alias; text that begins with * needs quotes"),
    ("while scanning a quoted scalar", "a quote that is not closed, or an unknown escape in double quotes"),
    ("while parsing a flow", "a bracket that is not closed, or a comma that is missing"),
    ("cannot start any token", "text that begins with this character needs quotes"),
)


def _in_words(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, for a person who knows no parser."""
    said = " ".join(part for part in (error.context, error.problem) if part)
    advice = next((words for sign, words in _ADVICE if sign in said), said)
    return f"not a YAML file: {advice}"


class _Values:
    """Values of composed nodes; an alias is written out where it stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0
        self.open: list[Node] = []

    def error(self, node: Node, text: str) -> BaconError:
        return BaconError(f"{self.source}, line {node.start_mark.line + 1}: {text}")

    def value(self, node: Node) -> Any:
        self.count += 1
        if self.count > _MOST_VALUES:
            raise self.error(node, f"aliases stand for more than {_MOST_VALUES} values; write out what is needed")
        if any(node is each for each in self.open):
            raise self.error(node, "an alias (*name) stands inside its own anchor (&name), so it has no end")
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise self.error(node, f"the tag {_tag_shown(node)} is not allowed; leave it out")
        self.open.append(node)
        made = self.mapping(node) if isinstance(node, MappingNode) else [self.value(each) for each in node.value]
        self.open.pop()
        return made

    def scalar(self, node: ScalarNode) -> Any:
        text, kind = node.value, node.tag.removeprefix(_TAG)
        plain = text.replace("_", "")
        try:
            match kind:
                case "str":
                    return _whole_characters(text)
                case "merge":
                    return text
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return self.whole_number(node, plain)
                case "float":
                    return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", plain, flags=re.IGNORECASE))
        except (ValueError, KeyError):
            raise self.error(node, f"{text!r} does not fit its tag !!{kind}; leave the tag out") from None
        raise self.error(
            node, f"the tag {_tag_shown(node)} is not allowed; leave it out, or quote text that begins with !"
        )

    def whole_number(self, node: ScalarNode, text: str) -> int:
        if re.fullmatch(r"[-+]?0[0-9]+", text):
            sign, digits = re.fullmatch(r"([-+]?)0+(\d+)", text).groups()  # type: ignore[union-attr]
            raise self.error(
                node,
                f"{node.value} is a decimal number to some YAML readers and an octal one to others; "
                f"write {sign.strip('+')}{digits}, or '{node.value}' in quotes for text",
            )
        if len(text) > 30:
            raise self.error(node, f"a number of {len(text)} digits; no setting is that large")
        return int(text, 16 if text.lower().startswith("0x") else 10)

    def mapping(self, node: MappingNode) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node)
            if key in lines:
                line = key_node.start_mark.line + 1
                where = f"here and in line {lines[key]}" if lines[key] != line else "twice in this line"
                raise self.error(key_node, f"the key {key!r} stands {where}; keep one, with what both hold")
            lines[key] = key_node.start_mark.line + 1
            if node.flow_style and value_node.start_mark.index == key_node.end_mark.index:
                raise self.error(
                    key_node,
                    f"{key!r} stands in braces without a value; a list is in brackets, [1, 2], and 1.5 has a point",
                )
            if key_node.tag == f"{_TAG}merge":
                for base in self.merge_bases(value_node):
                    merged = self.value(base) | merged
            else:
                own[key] = self.value(value_node)
        return merged | own

    def merge_bases(self, node: Node) -> Iterator[MappingNode]:
        for base in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(base, MappingNode):
                raise self.error(base, "<< takes a mapping of keys, such as *name, or a list of them")
            yield base

    def key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode) or (node.tag == f"{_TAG}null" and not node.value):
            raise self.error(node, "a key must be a word; write `key: value`")
        return str(node.value)


def _whole_characters(text: str) -> str:
    """A text with the halves of characters that JSON writes as two escapes put together; ``ValueError`` for a lone half."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    return text


def _tag_shown(node: Node) -> str:
    return node.tag.replace(_TAG, "!!")
