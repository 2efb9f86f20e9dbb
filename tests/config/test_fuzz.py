"""Configurations with mistakes of every kind: each is taken, or refused by an error that a person can read."""

import copy

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bacon.cli import main
from bacon.config.loading import check_config
from bacon.config.reading import read_entry, read_merged
from bacon.config.schema import config_schema
from bacon.config.unreached import unreached_values
from bacon.operations.workflow_plan import plan
from bacon.runtime.errors import BaconError

BASE = {
    "preset": "smoke",
    "protocol": "paper",
    "grid": {
        "datasets": ["digits", "mine"],
        "methods": ["random", "dm", "v"],
        "ipc": [1],
        "seeds": 1,
        "networks": ["convnet", "n"],
    },
    "data": {"mine": {"format": "npz", "path": "x.npz", "size": 8}},
    "networks": {"n": {"width": 8}},
    "methods": {"dm": {"distillation": {"lr_img": 0.5, "networks": {"source": "queue", "start": 5}}}},
    "variants": {"v": {"method": "bacon", "distillation": {"objective": {"lambda": 0.5}}}},
    "datasets": {"digits": {"network": {"depth": 2}, "evaluation": {"loss": [{"kind": "ce"}], "epochs": 3}}},
    "cells": [{"dataset": "digits", "ipc": 1, "methods": ["dm"], "evaluation": {"augmentations": ["none"]}}],
    "overrides": {"digits/dm/*": {"evaluation": {"lr_net": 0.1}}},
    "run": {"threads": 1},
    "report": {"references": ["random"]},
}
SCHEMA = config_schema()
SPELLINGS = [
    "5e-4", "'10'", "1_000", ".inf", ".nan", "yes", "off", "2024-01-01", "010", "~", "0x1F", "1:30", "''", "<<", "!x", "*a",
    "{}", "[]", "[[]]", "[~]", "'{x}'", "../x", "@", "%", "-1", "1e400", "&a b", "{a: }", "- x", "my data", "a\tb",
    "'\U0001f600'",
]  # fmt: skip


def paths(value, place=()):
    """The path of every value of a tree."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from paths(each, (*place, key))


def schema_keys(schema):
    """Every key that a schema names anywhere."""
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        if isinstance(part, dict):
            yield from part.get("properties", ())
        yield from schema_keys(part)


KEYS = sorted(
    {*schema_keys({"": SCHEMA}), "", "1", "no", "a b", "{x}", "Grid", "ipc ", "__class__", "model_config", "é"}
)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(SPELLINGS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def trees(draw):
    """The base with one to four mistakes: another value, key, type or place."""
    tree = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 4))):
        *above, last = draw(st.sampled_from([path for path in paths(tree) if path]))
        parent = tree
        for key in above:
            parent = parent[key]
        match draw(st.sampled_from(["value", "key", "delete", "list", "lift", "add"])):
            case "value":
                parent[last] = draw(JUNK)
            case "key" if isinstance(parent, dict):
                parent[draw(st.sampled_from(KEYS))] = parent.pop(last)
            case "delete":
                del parent[last]
            case "list":
                parent[last] = [parent[last]]
            case "lift":
                parent[last] = {draw(st.sampled_from(KEYS)): parent[last]}
            case _ if isinstance(parent, dict):
                parent[draw(st.sampled_from(KEYS))] = draw(JUNK)
    return tree


@st.composite
def texts(draw):
    """A tree as text, in which a line may be repeated, moved, cut or spelled in another way."""
    lines = yaml.safe_dump(draw(trees()), allow_unicode=True, sort_keys=False).splitlines()
    for _ in range(draw(st.integers(0, 2))):
        number = draw(st.integers(0, max(len(lines) - 1, 0)))
        line = lines[number] if lines else ""
        key = line.partition(":")[0]
        spelled = f"{key}: {draw(st.sampled_from(SPELLINGS))}"
        changed = draw(st.sampled_from([[line, line], [f" {line}"], [f"\t{line}"], [key], [], [spelled]]))
        lines[number : number + 1] = changed
    return "\n".join(lines)


def is_readable(message):
    """Whether an error speaks of the file and not of the program."""
    assert message.strip()
    for line in message.splitlines():
        assert line.startswith(("c.yaml", "Error: ", "--config"))
        assert not any(word in line for word in ("Traceback", "pydantic", "tuple", "NoneType", "validation error"))


@settings(max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(text=texts())
def test_every_configuration_is_taken_or_refused_by_an_error_of_ours(tmp_path_factory, text):
    """What the commands and the workflow call: the file is read, checked, and looked through for values that reach no cell."""
    folder = tmp_path_factory.getbasetemp()
    path = folder / "c.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        plain = read_merged([path])
        unreached_values(check_config(plain, source="c.yaml"))
    except BaconError as error:
        is_readable(str(error).replace(str(path), "c.yaml"))


@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(tree=trees())
def test_a_tree_that_snakemake_merged_is_taken_or_refused_likewise(tree):
    """As a workflow that uses this one as a module gives it: values of any type, with keys of any type."""
    try:
        plan(tree, source="c.yaml")
    except BaconError as error:
        is_readable(str(error))


@settings(max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(text=texts())
def test_the_command_ends_with_status_1_or_2_and_no_traceback(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "command.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    done = CliRunner().invoke(main, ["config", "--config", str(path), "--cell", "digits/dm/ipc1/seed0"])
    assert done.exit_code in (0, 1, 2)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(st.text(max_size=12) | st.sampled_from(SPELLINGS).map(lambda value: f"grid={{ipc: {value}}}"))
def test_entries_of_the_command_line_are_read_or_refused(entry):
    try:
        assert len(read_entry(entry)) == 1
    except BaconError as error:
        is_readable(str(error).replace("\n", " "))


@pytest.mark.parametrize("key", sorted(SCHEMA["properties"]))
def test_every_key_of_the_file_refuses_a_value_of_another_kind(key):
    for value in (3, "x", [3], {"a": {"b": 3}}, 1.5, True):
        with pytest.raises(BaconError, match=key):
            check_config(BASE | {key: value}, source="c.yaml")
