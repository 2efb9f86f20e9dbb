"""How a file is read: repeated keys, what is no YAML, numbers, and values of the command line."""

import json

import pytest

from bacon.config.reading import read_file, read_merged
from bacon.config.yaml_values import parse_yaml, yaml_text
from bacon.operations.configuration_files import check_command_line
from bacon.runtime.errors import BaconError
from tests.config.texts import load, refusal


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("overrides: {digits/dm: {}}\ngrid: {}\noverrides: {}\n", "overrides", ("line 3", "line 1")),
        ("grid:\n  ipc: [1]\n  ipc: [10]\n", "ipc", ("line 3", "line 2")),
        ("methods:\n  dm: {}\n  idm: {}\n  'dm': {}\n", "dm", ("line 4", "line 2")),
        ("cells:\n  - {dataset: digits, ipc: 1, ipc: 2}\n", "ipc", ("line 2", "twice in this line")),
        ("preset: smoke\npreset: smoke\n", "preset", ("line 2", "line 1")),
        ('{"preset": "smoke",\n "preset": "demo"}', "preset", ("line 2", "line 1")),
        ("networks: {1: {}, '1': {}}", "1", ("line 1",)),
        ("methods:\n  dm:\n    <<: {}\n    <<: {}\n", "<<", ("line 4", "line 3")),
    ],
)
def test_a_repeated_key_is_an_error_with_both_lines(tmp_path, text, key, lines):
    (line,) = refusal(tmp_path, text)
    assert f"the key {key!r} stands" in line
    assert all(each in line for each in lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grid:\n\tipc: [1]\n", ["line 2", "a tab", "spaces"]),
        ("preset: smoke\n grid: {}\n", ["line 2", "indentation"]),
        ("grid:\n  ipc: [1]\n seeds: 1\n", ["line 3", "indentation"]),
        ("grid:\n    ipc: [1]\n  seeds: 1\n", ["line 3", "indentation"]),
        ("grid: [", ["not a YAML file", "bracket"]),
        ('preset: "smoke\n', ["quote"]),
        ("grid: {datasets: [*]}", ["line 1", "* needs quotes"]),
        ("grid: {datasets: [*a]}", ["line 1", "anchor"]),
        ("preset: @x", ["quotes"]),
        ("preset: smoke\n---\npreset: demo\n", ["line 2", "second document"]),
        ("", ["is empty"]),
        ("# nothing\n", ["is empty"]),
        ("---\n", ["is empty"]),
        ("- a\n- b\n", ["begins with a list"]),
        ("preset:smoke", ["single value", "space must follow the colon"]),
        ("3", ["single value"]),
        (b"title: \xe9\n", ["line 1", "UTF-8"]),
        ("preset: smoke\n".encode("utf-16"), ["UTF-8"]),
        ("preset: sm\x07oke\n", ["line 1", "control character U+0007"]),
        (b"\x89PNG\r\n", ["UTF-8"]),
        ("x: &a [*a]", ["line 1", "no end"]),
        ("x: !!python/object/apply:os.system [ls]", ["line 1", "tag"]),
        ("x: !secret 3", ["line 1", "tag"]),
        ("x: !!binary aGk=", ["line 1", "tag"]),
        ("x: !!set {a, b}", ["line 1", "tag"]),
        ("x: !!int three", ["line 1", "does not fit"]),
        ("? [a]\n: b\n", ["line 1", "a key must be a word"]),
        ("? \n: b\n", ["line 1", "a key must be a word"]),
        ("x: {<<: 3}", ["<< takes"]),
        ("[" * 3000 + "]" * 3000, ["nested too deeply"]),
        ("grid: {ipc: [010]}", ["010", "write 10"]),
        ("grid: {ipc: 1, 10}", ["line 1", "'10' stands in braces without a value", "brackets"]),
        ("run: {progress_seconds: 1,5}", ["'5' stands in braces without a value", "1.5 has a point"]),
        ("grid: {seeds: -007}", ["write -7"]),
        ("grid: {seeds: " + "9" * 40 + "}", ["40 digits"]),
    ],
)
def test_what_cannot_be_read_gives_one_line_that_says_where(tmp_path, text, words):
    (line,) = refusal(tmp_path, text)
    assert all(word in line for word in words), line


def test_a_few_lines_of_aliases_that_stand_for_billions_are_refused(tmp_path):
    levels = [f"x{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 10)}]" for number in range(1, 10)]
    assert "aliases stand for more" in refusal(tmp_path, "\n".join(["x0: &x0 [1]", *levels]))[0]


def test_a_path_that_is_no_file(tmp_path):
    (tmp_path / "case.yaml").write_text("preset: smoke")
    for name, words in {
        "": "is a folder",
        "cases.yaml": "did you mean .*case.yaml",
        "no/x.yaml": "nor a folder",
    }.items():
        with pytest.raises(BaconError, match=words):
            read_file(tmp_path / name)
    with pytest.raises(BaconError, match="cannot be read"):
        read_file("a\0b")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4), ("5.0e-4", 5e-4), ("1E3", 1000.0), ("1_000", 1000), ("-3", -3), ("+3", 3), ("0x10", 16), (".5", 0.5),
        ("1.", 1.0), (".inf", float("inf")), ("0", 0), ("0.10", 0.1), ("true", True), ("False", False),
        ("-.INF", float("-inf")), ("~", None), ("null", None), ("", None), ("yes", "yes"),
        ("No", "No"), ("on", "on"), ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"), ("1:30:00", "1:30:00"), ("1.2.3", "1.2.3"), ("'5e-4'", "5e-4"), ("1e", "1e"), ("=", "="),
        ("e5", "e5"), ("!!str 010", "010"), ("inf", "inf"), ('"\\ud83d\\ude00"', "😀"),
    ],
)  # fmt: skip
def test_values_are_those_of_yaml_1_2(text, value):
    assert parse_yaml(f"x: {text}", source="")["x"] == value
    assert type(parse_yaml(f"x: {text}", source="")["x"]) is type(value)


def test_values_that_are_written_are_read_as_the_same():
    texts = [
        "1e3",
        "5e-4",
        "010",
        "yes",
        "no",
        "~",
        "",
        "null",
        "true",
        "2024-01-01",
        "12:30",
        "1_000",
        "<<",
        "*a",
        " x",
        "a: b",
        "😀",
        "#",
    ]
    values = {
        "grid": {"datasets": texts},
        "x": [5e-4, 1e30, 1e-7, 3, -1, True, None, [], {}, 0.1],
        **dict.fromkeys(texts, 1),
    }
    assert parse_yaml(yaml_text(values), source="") == values


def test_anchors_and_merge_keys_work(tmp_path):
    text = "methods:\n  dm: &base {distillation: {lr_img: 1.5}}\n  idm: {<<: *base}\n"
    text += "  bacon: {<<: [*base], network: {width: 8}}\n"
    config = load(tmp_path, text)
    assert config.methods["idm"].distillation == config.methods["bacon"].distillation == {"lr_img": 1.5}
    assert config.methods["bacon"].network == {"width": 8}
    assert parse_yaml("{<<: {a: 1, b: 1}, a: 2}", source="") == {"a": 2, "b": 1}


def test_a_json_file_is_read_as_json(tmp_path):
    values = {"preset": "smoke", "data": {"d": {"format": "npz", "path": "tab\there 😀", "zca_epsilon": 5e-05}}}
    (tmp_path / "c.json").write_text(json.dumps(values, indent="\t"))
    assert read_file(tmp_path / "c.json") == values
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfpreset: smoke\r\n")
    assert read_file(tmp_path / "bom.yaml") == {"preset": "smoke"}


@pytest.mark.parametrize("text", ["5e-4", "0.0005", "'5e-4'", "'0.0005'", "5.0e-4", "500e-6"])
def test_every_spelling_of_a_number_counts_in_a_file_and_on_the_command_line(tmp_path, text):
    entry = f"methods={{dm: {{distillation: {{lr_img: {text}}}}}}}"
    for config in (load(tmp_path, entry.replace("=", ": ", 1)), load(tmp_path, "preset: smoke", entry)):
        assert float(config.methods["dm"].distillation["lr_img"]) == 5e-4


@pytest.mark.parametrize("word", ["yes", "on", "true", "True", "'yes'", "Yes"])
def test_words_for_true_count_for_keys_that_are_true_or_false_alone(tmp_path, word):
    assert load(tmp_path, f"data: {{digits: {{zca: {word}}}}}").data["digits"].zca is True
    for key, allowed in (("seeds", "number"), ("ipc", "list"), ("datasets", "list")):
        assert allowed in refusal(tmp_path, f"grid: {{{key}: {word}}}")[0]
    assert "number" in refusal(tmp_path, f"methods: {{dm: {{distillation: {{iterations: {word}}}}}}}")[0]


def test_later_files_and_values_of_the_command_line_win_key_by_key(tmp_path):
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("preset: demo\ngrid: {ipc: [1], seeds: 2}\nrun: {threads: 2}\n")
    second.write_text("grid: {ipc: [10]}\nrun:\n")
    merged = read_merged([first, second], ["grid={'seeds': 3}", "preset=smoke", "data="])
    assert merged == {"preset": "smoke", "grid": {"ipc": [10], "seeds": 3}, "run": None, "data": None}


@pytest.mark.parametrize(
    "entry", ["5=3", "preset", "=x", "grid.ipc=3", "a b=c", "grid={ipc: [1", "grid={ipc: 1, ipc: 2}"]
)
def test_entries_of_the_command_line_that_cannot_be_read(entry):
    with pytest.raises(BaconError, match="--config"):
        read_merged([], [entry])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "--configfile", "no.yaml", "--cores", "1"], "no.yaml: cannot be read"),
        (["--configfile=no.yaml"], "no.yaml: cannot be read"),
        (["--configfiles", "good.yaml", "twice.yaml"], "the key 'preset' stands"),
        (["--configfile", "good.yaml", "all"], "if all is a target, write it before"),
        (["--config", "preset"], "KEY=VALUE"),
        (["-C", "preset=smoke", "grid={"], "--config grid={"),
    ],
)
def test_snakemake_is_not_started_on_a_configuration_that_cannot_be_read(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("preset: smoke\n")
    (tmp_path / "twice.yaml").write_text("preset: smoke\npreset: demo\n")
    with pytest.raises(SystemExit) as ended:
        check_command_line(arguments)
    assert str(ended.value).startswith("Error: ")
    assert message in str(ended.value)
    assert "\n" not in str(ended.value)
    check_command_line(["all", "--configfile", "good.yaml", "--cores", "1", "--config", "preset=demo"])
