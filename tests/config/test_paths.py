"""Paths of the user's own data: the home folder, braces, spaces, quotes, and what is no path."""

from pathlib import Path

import pytest

from bacon.datasets.source import source_digest
from bacon.operations.configuration_files import read_configuration
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from tests.config.texts import load, refusal

DATA = "grid: {{datasets: [mine]}}\ndata: {{mine: {{format: npz, path: {0}}}}}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~/my.npz", "HOME/my.npz"),
        ("'~/a {b}/c.npz'", "HOME/a {b}/c.npz"),
        ("$HOME/my.npz", "$HOME/my.npz"),
        ("'${HOME}/my.npz'", "${HOME}/my.npz"),
        ("./~/my.npz", "./~/my.npz"),
        ("a/~", "a/~"),
        ("folder/", "folder"),
        ("./folder//x.npz", "folder/x.npz"),
        ("../x.npz", "../x.npz"),
        ("/abs/x.npz", "/abs/x.npz"),
        ("'{dataset}.npz'", "{dataset}.npz"),
        ('"it\'s {x} \\"y\\" $z.npz"', 'it\'s {x} "y" $z.npz'),
        ("Fotos für/数据.npz", "Fotos für/数据.npz"),
        ("'a*b?[c].npz'", "a*b?[c].npz"),
        ("' x.npz'", " x.npz"),
        ("-x.npz", "-x.npz"),
    ],
)
def test_home_is_replaced_and_all_other_characters_stand_for_themselves(tmp_path, monkeypatch, text, path):
    monkeypatch.setenv("HOME", "/home/someone")
    expected = path.replace("HOME", "/home/someone") if text.strip("'").startswith("~") else path
    assert load(tmp_path, DATA.format(text)).data["mine"].path == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("''", "is empty"),
        ("' '", "is empty"),
        ('"a\\nb"', "a path is a single line"),
        ('"a\\0b"', "a path is a single line"),
        ("~nobody-of-this-name/x.npz", "no such user"),
        ("[a]", "must be text"),
        ("3", "in quotes: '3'"),
    ],
)
def test_what_is_no_path(tmp_path, text, words):
    (line,) = refusal(tmp_path, DATA.format(text))
    assert "data.mine.path = " in line
    assert words in line


@pytest.mark.parametrize(
    ("path", "words"), [("$HOME/x.npz", "variables such as $HOME are not"), ("x.npz", "looked in ")]
)
def test_a_path_where_nothing_is_says_where_it_was_looked_for(tmp_path, path, words):
    data = load(tmp_path, DATA.format(path)).data["mine"]
    with pytest.raises(BaconError, match="does not exist") as caught:
        source_digest("mine", data, cache=tmp_path / "cache.json")
    assert words in str(caught.value)


def test_a_file_whose_name_is_hard_is_found_from_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a {b} 'c' $d").mkdir()
    (tmp_path / "a {b} 'c' $d/x.npz").write_bytes(b"1")
    config = load(tmp_path, DATA.format("\"~/a {b} 'c' $d/x.npz\""))
    assert len(Plan(config, tmp_path).source("mine")) == 64


def test_archives_are_paths_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert load(tmp_path, "data: {mnist: {archives: ~/old/}}").data["mnist"].archives == "/home/someone/old"


def test_a_working_directory_that_snakemake_cannot_use_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "a{1}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(BaconError, match="takes the braces of this folder for wildcards"):
        read_configuration(None, {})
    assert Path.cwd() == folder
