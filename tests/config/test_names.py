"""Names become paths, wildcards, words of the shell and patterns: one rule, checked when the configuration is read."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from bacon.datasets.registry import REGISTRY
from bacon.methods.random.record import RANDOM
from bacon.methods.registry import METHODS, registered
from bacon.runtime.errors import BaconError
from bacon.settings.architectures import ARCHITECTURES, named_networks
from bacon.settings.cells import Cell
from bacon.settings.names import LONGEST, is_name, suggested_name
from bacon.settings.protocol_records import PROTOCOLS
from tests.config.texts import load, refusal

GOOD = ("mine", "c++", "x_y-1", "a.b", "0", "CIFAR10", "a" * LONGEST)
BAD = (
    *(
        "my data",
        "it's",
        "c/c",
        "{x}",
        "a{dataset}b",
        "a*",
        "a?",
        "[a]",
        ".hidden",
        ".",
        "..",
        "-x",
        "-",
        "+x",
        "_x",
        "a:b",
        "a;b",
    ),
    *(
        "$HOME",
        "~",
        "a|b",
        "a&b",
        "a(b)",
        "a\\b",
        'a"b',
        "a\tb",
        "a\nb",
        " a",
        "a ",
        "",
        "é",
        "e\u0301",
        "数据",
        "\u0661",
    ),
    *("a" * (LONGEST + 1), "a#b", "a,b", "a=b", "a@b", "a%b", "a!b", "<a>"),
)

KINDS = {
    "data set": "grid: {{datasets: [{0}]}}\ndata: {{{0}: {{format: npz, path: x.npz}}}}",
    "network": "grid: {{networks: [{0}]}}\nnetworks: {{{0}: {{width: 64}}}}",
    "variant": "grid: {{methods: [dm, {0}]}}\nvariants: {{{0}: {{method: dm}}}}",
    "unused": "data: {{{0}: {{format: npz, path: x.npz}}}}",
}


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_cannot_be_a_path_is_refused_with_its_key_and_one_that_works(tmp_path, name):
    for kind in KINDS:
        _is_refused(tmp_path, kind, name)


def _is_refused(tmp_path, kind, name):
    (line,) = refusal(tmp_path, KINDS[kind].format(quoted(name)))
    key = {"data set": "data", "network": "networks", "variant": "variants", "unused": "data"}[kind]
    assert line.startswith(f"my.yaml: {key}: key = ")
    assert "used in paths and commands" in line
    assert is_name(suggested_name(name))
    assert f"write {suggested_name(name)!r}" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", GOOD)
def test_other_names_are_taken(tmp_path, name):
    for text in KINDS.values():
        load(tmp_path, text.format(quoted(name)))


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("my data", "my-data"), ("it's", "it-s"), ("Café 3", "Cafe-3"), ("..", "mydata"), ("数据", "mydata"), ("-x", "x")],
)
def test_a_suggested_name_looks_like_the_one_it_replaces(name, suggested):
    assert suggested_name(name) == suggested


def test_every_name_of_our_own_obeys_the_rule():
    for names in (REGISTRY, METHODS, ARCHITECTURES, named_networks(), PROTOCOLS):
        assert all(map(is_name, names))


def brought(monkeypatch, name):
    entry = EntryPoint(name="theirs", value="theirs:METHOD", group="bacon.methods")
    monkeypatch.setattr(EntryPoint, "load", lambda _: replace(RANDOM, name=name))
    return registered((RANDOM,), [entry])


@pytest.mark.parametrize(
    ("name", "message"), [("my method", "my-method"), ("a/b", "a-b"), ("Random", "letter case alone")]
)
def test_the_name_of_a_method_that_a_package_brings_is_held_to_the_rule(monkeypatch, name, message):
    with pytest.raises(BaconError, match=rf"theirs:METHOD.*{message}"):
        brought(monkeypatch, name)
    assert "k-center_2" in brought(monkeypatch, "k-center_2")


@pytest.mark.parametrize(
    "text",
    [
        "data: {a: {format: npz, path: x}, A: {format: npz, path: y}}",
        "data: {Digits: {format: npz, path: x}}\ngrid: {datasets: [digits, Digits]}",
        "networks: {wide: {width: 64}, Wide: {width: 32}}",
        "networks: {ConvNet: {width: 64}}\ngrid: {networks: [convnet, ConvNet]}",
        "variants: {Full: {method: dm}}",
        "variants: {DM: {method: dm}}",
    ],
)
def test_names_that_differ_by_letter_case_alone_are_refused(tmp_path, text):
    (line,) = refusal(tmp_path, text)
    assert "letter case alone" in line


def test_two_groups_of_cells_never_write_one_figure(tmp_path):
    text = "grid: {datasets: [a, a_b], methods: [c, b_c]}\nvariants: {c: {method: dm}, b_c: {method: dm}}\n"
    text += "data: {a: {format: npz, path: x}, a_b: {format: npz, path: y}}"
    assert "a_b_c_ipc*.png" in refusal(tmp_path, text)[0]


def test_a_network_cannot_have_the_name_of_the_job_that_distils(tmp_path):
    cell = Cell("digits", "dm", 1, 0)
    assert cell.running_path("distill").stem == "distill"
    assert "give the network another name" in refusal(tmp_path, "networks: {distill: {width: 8}}")[0]
