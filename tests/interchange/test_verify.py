"""``bacon verify``: what is changed, missing or stated wrongly in an exported set is found, and only that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from scipy import stats

from bacon.artifacts.distilled_file import read_distilled
from bacon.artifacts.evaluation_records import read_evaluation
from bacon.cli import main
from bacon.interchange.agreement import AccuracySample, agreement_interval
from bacon.interchange.arrays import SUFFIXES, read_arrays, write_arrays
from bacon.interchange.card_seal import sealed
from bacon.interchange.content import export_of, set_sha256
from bacon.interchange.export_cell import FORMATS, export_cell
from bacon.runtime.errors import BaconError
from tests.interchange.conftest import CELL
from tests.interchange.test_export import whitened

SET = "digits_bacon_ipc10_seed0"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Path:
    """A folder of the cell in every format."""
    folder = tmp_path_factory.mktemp("exported")
    for kind in FORMATS:
        export_cell(finished, CELL, kind=kind, form="decoded", output=folder)
    return folder


@pytest.fixture
def sets(exported, tmp_path) -> Path:
    """A copy to spoil, of the Hugging Face folder and the .pt file."""
    shutil.copytree(exported / f"{SET}_huggingface", tmp_path / "sets" / f"{SET}_huggingface")
    shutil.copy(exported / f"{SET}.pt", tmp_path / "sets")
    return tmp_path / "sets"


def verify(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def results(*arguments, code):
    done = verify(*arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def edit_card(folder: Path, change, *, seal: bool = True) -> None:
    path = folder / "bacon.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(sealed(card) if seal else card))


def mismatches(path: Path) -> list[str]:
    """What the checksums and the card say of a set that is not ok."""
    (found,) = results(path, "--checksums-only", code=1)
    assert found["result"] == "changed"
    return [f"{one['file']}: {one['found']} / {one['expected']}" for one in found["mismatches"]]


# Checksums


def test_every_format_is_as_its_card_says(exported):
    found = results(exported, "--checksums-only", code=0)
    assert [Path(one["set"]).name for one in found] == sorted(path.name for path in exported.iterdir())
    assert len(found) == len(FORMATS)
    assert {(one["result"], one["method"], one["ipc"]) for one in found} == {("ok", "bacon", 10)}


def test_a_card_lists_every_file_but_itself(exported):
    folder = exported / f"{SET}_huggingface"
    listed = json.loads((folder / "bacon.json").read_text())["files"]
    assert {*listed, "bacon.json"} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    assert "README.md" in listed
    assert len(listed) == 401


def test_a_changed_byte_and_a_missing_file(sets):
    folder = sets / f"{SET}_huggingface"
    first, second = sorted((folder / "train" / "0").iterdir())[:2]
    content = bytearray(first.read_bytes())
    content[-20] ^= 1
    first.write_bytes(content)
    second.unlink()
    found = mismatches(folder)
    assert len(found) == 2
    for line, file, words in zip(found, (first, second), ("the sha256", "no file"), strict=True):
        assert str(file) in line
        assert words in line


def test_a_file_among_the_images_that_the_card_does_not_list(sets):
    folder = sets / f"{SET}_huggingface"
    (folder / "LICENSE").write_text("a file that no reader takes for an image")
    assert results(folder, "--checksums-only", code=0)[0]["result"] == "ok"
    (folder / "train" / "9" / "notes.txt").write_text("no image")
    (line,) = mismatches(folder)
    assert line == f"{folder / 'train' / '9' / 'notes.txt'}: a file that the card does not list / none"


def test_one_line_for_each_failure_names_file_found_and_expected(sets):
    folder = sets / f"{SET}_huggingface"
    image = min((folder / "train" / "3").iterdir())
    expected = json.loads((folder / "bacon.json").read_text())["files"][image.relative_to(folder).as_posix()]
    image.unlink()
    done = verify(sets, "--checksums-only")
    assert done.exit_code == 1
    assert f"{image}: found no file; expected one with the sha256 {expected}" in done.output.splitlines()
    rows = [line for line in done.output.splitlines() if "│" in line]
    assert [SET in row and ("changed" in row, "ok" in row) for row in rows] == [(False, True), (True, False)]


def test_a_changed_tensor_and_a_changed_readme(sets):
    export = read_arrays(sets / f"{SET}.pt")
    export.synthetic.images[0, 0, 0, 0] += 1e-3
    write_arrays(export, sets / f"{SET}.pt")
    readme = sets / f"{SET}_huggingface" / "README.md"
    readme.write_text(readme.read_text().replace("IPC 10", "IPC 1"))
    tensors, folder = results(sets, "--checksums-only", code=1)
    assert [tensors["result"], folder["result"]] == ["changed"] * 2
    (changed,) = tensors["mismatches"]
    assert changed["found"] == f"images and labels with the sha256 {set_sha256(export.synthetic)}"
    assert changed["expected"] == (
        f"{export.metadata['images_sha256']}, as its card states: they were changed or damaged after the export; get the set "
        "again from where it came, or export it again"
    )
    assert folder["mismatches"][0]["file"] == str(readme)


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_a_file_cut_off_is_changed(exported, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes((exported / f"{SET}{suffix}").read_bytes()[:-2000])
    (line,) = mismatches(path)
    assert f"not a readable {suffix} file" in line
    assert line.endswith("; get the set again from where it came, or export it again")
    assert line.count("export it again") == 1


def test_a_changed_whitening_is_found(tmp_path):
    distilled, _ = whitened()
    export = export_of(distilled, form="decoded", licence="x", evaluations=[])
    path = tmp_path / "a.pt"
    write_arrays(export, path)
    assert results(path, "--checksums-only", code=0)[0]["result"] == "ok"
    content = torch.load(path, weights_only=True)
    content["whitening_matrix"][0, 0] += 1
    torch.save(content, path)
    (line,) = mismatches(path)
    assert "mean and matrix of the whitening with the sha256" in line


# What cards state


def test_an_edited_card_is_found(sets):
    folder = sets / f"{SET}_huggingface"
    edit_card(folder, lambda card: card.update(licence="none"), seal=False)
    (line,) = mismatches(folder)
    assert "bacon.json: a card with the sha256" in line
    assert "it was edited" in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card.update(shape=[1, 8, 8]), "images of shape [1, 16, 16] (C, H, W) / [1, 8, 8]"),
        (lambda card: card.update(count=10), "400 images / 10"),
        (lambda card: card.update(ipc=7), "40 images of a class / as many of each, a multiple of the card's IPC, 7"),
        (lambda card: card.update(class_names=["0"]), "labels from 0 to 9 / 0 to 0: the card names 1 classes"),
        (lambda card: card.pop("shape"), "shape: Field required"),
        (lambda card: card["evaluations"][0].update(n=3), "convnet: n 3 / 2, the seeds of its protocol"),
        (
            lambda card: card["evaluations"][0].update(mean=71.0),
            "evaluations.0.mean: Input should be less than or equal to 1",
        ),
        (lambda card: card["evaluations"][0].update(sd=None), "n is 2, so sd and interval must be given"),
        (lambda card: card.update(evaluations="none"), "evaluations: Input should be a valid list"),
        (lambda card: card.pop("files"), "files: no checksums of files"),
        (lambda card: card["evaluations"][0].update(interval=[0.1, 0.2]), "convnet: the interval [0.1, 0.2]"),
        (lambda card: card["evaluations"][0].pop("settings"), "evaluations.0.settings: Field required"),
        (lambda card: card.pop("mean"), "a card without 'mean'"),
    ],
)
def test_what_a_card_states_is_compared_with_the_set(sets, change, words):
    folder = sets / f"{SET}_huggingface"
    edit_card(folder, change)
    assert words in mismatches(folder)[0]


def test_sets_without_a_card_or_with_an_older_one_are_not_verified(sets):
    folder = sets / f"{SET}_huggingface"
    edit_card(folder, lambda card: card.update(version=2))
    torch.save((torch.zeros(2, 1, 4, 4), torch.zeros(2)), sets / "theirs.pt")
    (sets / "empty").mkdir()
    found = {Path(one["set"]).name: one for one in results(sets, "--checksums-only", code=1)}
    assert found.pop(f"{SET}.pt")["result"] == "ok"
    assert {one["result"] for one in found.values()} == {"not verified"}
    said = {name: one["mismatches"][0]["found"] for name, one in found.items()}
    assert "a card of version 2, which has no checksums" in said[folder.name]
    assert "not a distilled set written by `bacon export`" in said["theirs.pt"]
    assert "the card is missing" in said["empty"]


# Accuracy


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A folder without a prepared data set."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def test_networks_trained_anew_have_the_accuracy_of_the_card(finished, sets, elsewhere):
    """The embedded digits need no data; draws are of the seed, so that exact images give the numbers of the workflow."""
    tensors, folder = results(sets, "--device", "cpu", code=0)
    values = [
        one.test_accuracy for one in read_evaluation(finished.directory / CELL.evaluation_path("convnet"))["records"]
    ]
    (check,) = tensors["accuracies"]
    assert check["agrees"]
    assert check["network"] == "convnet"
    assert check["protocol"].startswith("3 epochs, SGD lr 0.01")
    assert check["found"] == check["stated"]
    assert check["found"]["mean"] == pytest.approx(sum(values) / 2)
    assert check["found"]["n"] == 2
    assert [folder["result"], tensors["result"]] == ["ok", "ok"]
    assert not any(elsewhere.iterdir())


@pytest.mark.usefixtures("elsewhere")
def test_a_wrong_accuracy_in_the_card_is_found(finished, sets):
    folder = sets / f"{SET}_huggingface"

    def better(card):
        mean, half = 0.99, stats.t.ppf(0.975, 1) * 0.001 / 2**0.5
        card["evaluations"][0].update(mean=mean, sd=0.001, interval=[mean - half, min(1.0, mean + half)])

    edit_card(folder, better)
    data = finished.directory / finished.data_path(CELL)
    done = verify(folder, "--device", "cpu", "--data", data, "--confidence", "0.5", "--networks", "3")
    assert done.exit_code == 1
    assert "accuracy outside" in done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith(f"{folder / 'bacon.json'}: ")]
    assert "found convnet: mean test accuracy" in line
    assert "% of 3 networks (3 epochs" in line
    assert "the card states 99.00 % of 2" in line


@pytest.mark.usefixtures("elsewhere")
def test_a_set_that_cannot_be_trained_on_is_not_verified(exported, tmp_path):
    for name in ("teacher", "unevaluated", "unprepared", "version", "wolves"):
        shutil.copytree(exported / SET, tmp_path / "sets" / name)

    def taught(card):
        evaluation = card["evaluations"][0]["settings"]["evaluation"]
        del evaluation["teachers"]
        evaluation.update(labels="teacher", loss=[{"kind": "kl", "temperature": 20.0}])

    edit_card(tmp_path / "sets" / "teacher", taught)
    edit_card(tmp_path / "sets" / "unevaluated", lambda card: card.update(evaluations=[]))
    edit_card(tmp_path / "sets" / "unprepared", lambda card: card.update(dataset="cifar10"))
    edit_card(
        tmp_path / "sets" / "version", lambda card: card["evaluations"][0]["settings"]["evaluation"].update(novel=1)
    )
    edit_card(tmp_path / "sets" / "wolves", lambda card: card.update(class_names=[*card["class_names"][:9], "wolf"]))
    results(tmp_path / "sets", "--checksums-only", code=0)
    found = results(tmp_path / "sets", "--device", "cpu", code=1)
    assert {one["result"] for one in found} == {"not verified"}
    said = [one["mismatches"][0]["found"] for one in found]
    assert "the card does not say which teachers label the batches" in said[0]
    assert said[1] == "no accuracy"
    assert "results/data/cifar10.h5: the data set is not prepared" in said[2]
    assert "convnet: the card's settings are not those of this version: novel: Extra inputs" in said[3]
    assert "its classes are others: '9', which the card calls 'wolf'" in said[4]


@pytest.mark.usefixtures("elsewhere")
def test_networks_are_kept_only_where_they_are_asked_for(sets, tmp_path, monkeypatch):
    path = sets / f"{SET}.pt"
    results(path, "--device", "cpu", "--networks", 1, "--cache", tmp_path / "kept", code=0)
    monkeypatch.setattr("bacon.evaluation.trained_networks.train_and_test", None)
    assert results(path, "--device", "cpu", "--networks", 1, "--cache", tmp_path / "kept", code=0)[0]["result"] == "ok"
    assert isinstance(verify(path, "--device", "cpu", "--networks", 1).exception, TypeError)


# Wrong use


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], "does not exist"),
        (["."], "no exported set: it has neither bacon.json"),
        (["{set}", "--data", "absent.h5"], "absent.h5: the data set is not prepared"),
        (["{set}", "--data", "{data}", "--data", "{data}"], "are the data set digits; give one"),
        (["{set}", "--checksums-only", "--networks", "2"], "--checksums-only trains no networks; leave out --networks"),
    ],
)
def test_wrong_use_has_an_exit_code_of_its_own(finished, exported, arguments, words):
    places = {"set": exported / SET, "data": finished.directory / finished.data_path(CELL)}
    done = verify(*(argument.format(**places) for argument in arguments))
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


# The interval


def test_the_interval_is_that_of_the_two_sample_t_test():
    """A mean at its end is one whose test, pooled, has the p value that the confidence leaves."""
    stated, found = AccuracySample(mean=0.5, sd=0.02, n=5), AccuracySample(mean=0.53, sd=0.01, n=3)
    low, high = agreement_interval(stated, found, confidence=0.99, resolution=0.0)
    for end in (low, high):
        test = stats.ttest_ind_from_stats(0.5, 0.02, 5, end, 0.01, 3, equal_var=True)
        assert test.pvalue == pytest.approx(0.01)
    assert low + high == pytest.approx(1.0)


def test_the_interval_of_single_networks_and_of_no_spread():
    one, two = AccuracySample(mean=0.5, sd=None, n=1), AccuracySample(mean=0.6, sd=0.0, n=2)
    assert agreement_interval(one, two, confidence=0.99, resolution=0.25) == (0.25, 0.75)
    low, high = agreement_interval(one, AccuracySample(mean=0.9, sd=0.5, n=2), confidence=0.99, resolution=0.0)
    assert (low, high) == (0.0, 1.0)
    with pytest.raises(BaconError, match="--networks 2 or more"):
        agreement_interval(one, one, confidence=0.99, resolution=0.1)


def test_the_checksum_of_a_card_does_not_hang_on_the_order_of_its_keys(finished):
    evaluations = [{"mean": 0.1, "settings": {"b": 1, "a": (2, 3)}}]
    distilled = read_distilled(finished.directory / CELL.distilled_path)
    card = sealed(export_of(distilled, form="stored", licence="x", evaluations=evaluations).metadata)
    assert sealed(json.loads(json.dumps(dict(reversed(card.items())))))["card_sha256"] == card["card_sha256"]
    assert sealed({**card, "ipc": 11})["card_sha256"] != card["card_sha256"]
