"""``bacon evaluate``: everybody's layouts, what must be stated, and the same numbers as the workflow for our own files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bacon.artifacts.distilled_file import read_distilled
from bacon.artifacts.evaluation_records import read_evaluation
from bacon.cli import main
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.datasets.whitening import Whitening
from bacon.interchange.evaluate_file import evaluate_file
from bacon.interchange.export_cell import export_cell
from bacon.interchange.file_content import FileContent, FileFormat, training_set
from bacon.interchange.published_layouts import read_published, read_tensors
from bacon.interchange.requested_set import Request
from bacon.reporting.collect.file_evaluations import read_file_evaluations
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode
from tests.interchange.conftest import CELL
from tests.toy_images import CPU

IMAGES = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.9
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
MEAN, STD = (0.25,), (0.5,)
RAW = FileFormat(pixels="raw", partition=1)


def image_set(images, labels, file_format, dataset, **parts):
    content = FileContent(images=images, classes=labels, format=file_format, **parts)
    return training_set(Path("a.pt"), content, dataset, CPU)


@pytest.fixture
def dataset() -> ImageDataset:
    pixels = np.zeros((3, 1, 4, 4), np.uint8)
    labels = np.arange(3, dtype=np.int64)
    return ImageDataset(
        name="toy",
        train_images=pixels,
        train_labels=labels,
        test_images=pixels,
        test_labels=labels,
        class_names=("a", "b", "c"),
        mean=MEAN,
        std=STD,
        fingerprint="data",
    )


def test_a_file_without_images_of_a_class_is_told_of(dataset, caplog):
    image_set(IMAGES, LABELS, RAW, dataset)
    assert caplog.text == ""
    image_set(IMAGES[:4], LABELS[:4], RAW, dataset)
    assert "a.pt: no image of 1 of 3 classes of toy: 'c'; they count as wrong in its accuracy" in caplog.text


# Layouts


def published(sets: int = 1) -> dict:
    """As DM, IDM and BACON save: a list of [images, labels], and accuracies as numpy's numbers."""
    data = [[IMAGES + number, LABELS] for number in range(sets)]
    return {"data": data, "accs_all_exps": {"ConvNet": [np.float64(0.5), np.float32(0.25)]}, "more": np.arange(3.0)}


@pytest.mark.parametrize(
    "content",
    [(IMAGES, LABELS), [IMAGES, LABELS], {"images": IMAGES, "labels": LABELS.to(torch.int32)}, published()],
)
def test_layouts_of_pt_files(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    found = read_published(tmp_path / "a.pt", RAW)
    assert torch.equal(found.images, IMAGES)
    assert torch.equal(found.classes, LABELS)
    assert found.classes.dtype == torch.int64
    assert found.soft is None


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("x_train", "y_train")])
def test_layouts_of_npz_files(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (IMAGES.numpy(), LABELS.numpy()), strict=True)))
    images, labels = read_tensors(tmp_path / "a.npz")
    assert torch.equal(images, IMAGES)
    assert torch.equal(labels, LABELS)


def test_one_of_several_experiments_is_chosen(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(published(3), path)
    assert torch.equal(read_tensors(path, experiment=2)[0], IMAGES + 2)
    assert torch.equal(read_tensors(path, experiment=0)[0], IMAGES)
    with pytest.raises(BaconError, match="holds 3 distilled sets; choose one with --experiment 0 to 2"):
        read_tensors(path)
    with pytest.raises(BaconError, match="--experiment 3: it holds 3 distilled sets"):
        read_tensors(path, experiment=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": IMAGES}, "holds a dict with x; supported are"),
        (IMAGES, r"holds Tensor \(6, 1, 4, 4\) alone; if its labels are in another file.* supported are"),
        ({"data": [IMAGES]}, "its 'data' is not a list of"),
        ((IMAGES[0], LABELS), r"images are \(1, 4, 4\); they must be a tensor \(N, C, H, W\)"),
        (
            (IMAGES, LABELS + 0.5),
            r"labels are torch.float32 \(6,\) for 6 images; they must be integers \(N,\), or soft",
        ),
        ((IMAGES, torch.rand(5, 3)), r"labels are torch.float32 \(5, 3\) for 6 images"),
        ((IMAGES, torch.ones(6, 3, dtype=torch.int64)), r"labels are torch.int64 \(6, 3\) for 6 images"),
        ((IMAGES, LABELS[:5]), r"labels are torch.int64 \(5,\) for 6 images"),
    ],
)
def test_other_contents_are_named(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(BaconError, match=rf"a\.pt: .*{message}"):
        read_tensors(tmp_path / "a.pt")


def test_pickles_are_read_with_weights_only(tmp_path):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save((IMAGES, LABELS, Harmful()), tmp_path / "a.pt")
    np.savez(tmp_path / "a.npz", images=np.array([Harmful()], dtype=object), labels=LABELS.numpy())
    with pytest.raises(
        BaconError, match=r"a\.pt: cannot be read with weights_only=True.*torch\.save\(\(images, labels\)"
    ):
        read_tensors(tmp_path / "a.pt")
    with pytest.raises(BaconError, match=r"a\.npz: .images. is not a readable array of numbers"):
        read_tensors(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


def test_absent_damaged_and_unknown_files(tmp_path):
    with pytest.raises(BaconError, match="the file does not exist"):
        read_tensors(tmp_path / "a.pt")
    for name in ("b.pt", "b.npz"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(BaconError, match=name):
            read_tensors(tmp_path / name)
    (tmp_path / "c.pkl").touch()
    with pytest.raises(BaconError, match=r"unknown file type '\.pkl'"):
        read_tensors(tmp_path / "c.pkl")


# Spaces


def test_every_format_leads_to_the_data_sets_space(dataset):
    expected = (IMAGES - 0.25) / 0.5
    cases = [
        (IMAGES, FileFormat(pixels="raw", partition=1)),
        (expected, FileFormat(pixels="normalised", partition=1, mean=MEAN, std=STD)),
        ((IMAGES - 0.4) / 0.2, FileFormat(pixels="normalised", partition=1, mean=(0.4,), std=(0.2,))),
    ]
    for images, said in cases:
        made = image_set(images, LABELS, said, dataset)
        torch.testing.assert_close(made.images, expected, rtol=0, atol=1e-6)
        assert torch.equal(made.labels, LABELS)
    levels = (IMAGES * 255).round().to(torch.uint8)
    made = image_set(levels, LABELS, FileFormat(pixels="uint8", partition=1), dataset)
    torch.testing.assert_close(made.images, (levels / 255 - 0.25) / 0.5, rtol=0, atol=1e-6)


def test_partition_is_undone_with_its_labels(dataset):
    made = image_set(IMAGES, LABELS, FileFormat(pixels="raw", partition=2), dataset)
    torch.testing.assert_close(made.images, decode((IMAGES - 0.25) / 0.5, 2), rtol=0, atol=1e-6)
    assert torch.equal(made.labels, LABELS.repeat_interleave(4))


def test_images_of_a_whitened_data_set_are_whitened(dataset):
    from dataclasses import replace

    whitening = Whitening(mean=np.full(16, 0.5, np.float32), matrix=2 * np.eye(16, dtype=np.float32), epsilon=0.1)
    made = image_set(IMAGES, LABELS, RAW, replace(dataset, whitening=whitening))
    torch.testing.assert_close(made.images, 2 * (IMAGES - 0.5), rtol=0, atol=1e-6)
    assert made.mean is None


@pytest.mark.parametrize(
    ("images", "labels", "said", "message"),
    [
        (IMAGES, LABELS, {"pixels": "uint8"}, "images are torch.float32, which is not what --pixels uint8 says"),
        (IMAGES.to(torch.uint8), LABELS, {"pixels": "raw"}, "images are torch.uint8, which is not what --pixels raw"),
        (IMAGES * 255, LABELS, {"pixels": "raw"}, "not raw pixels in.*go up to 255 .--pixels uint8"),
        (IMAGES * 6 - 3, LABELS, {"pixels": "raw"}, "not raw pixels in"),
        (IMAGES / 0, LABELS, {"pixels": "raw"}, "not finite"),
        (IMAGES, LABELS, {"pixels": "normalised", "mean": (0.1, 0.2), "std": (1.0, 1.0)}, "images have 1 channels"),
        (IMAGES, LABELS, {"pixels": "normalised", "mean": (0.1,), "std": ()}, "need as many numbers"),
        (
            IMAGES.expand(-1, 3, -1, -1),
            LABELS,
            {"pixels": "raw"},
            r"images are \(3, 4, 4\), those of toy are \(1, 4, 4\)",
        ),
        (IMAGES, LABELS + 1, {"pixels": "raw"}, "labels go from 1 to 3; toy has the classes 0 to 2"),
        (IMAGES, LABELS, {"pixels": "raw", "partition": 3}, "cannot be split into 3x3"),
    ],
)
def test_what_contradicts_the_format_is_refused(dataset, images, labels, said, message):
    with pytest.raises(BaconError, match=message):
        image_set(images, labels, FileFormat(**{"partition": 1} | said), dataset)


# The command


@pytest.fixture
def here(finished, monkeypatch) -> Path:
    monkeypatch.chdir(finished.directory)
    return finished.directory


@pytest.fixture
def theirs(here, tmp_path) -> Path:
    """The distilled set of the cell as others would publish it: stored form, normalised, no word about either."""
    distilled = read_distilled(here / CELL.distilled_path)
    path = tmp_path / "res_BACON_digits.pt"
    torch.save(
        {
            "data": [[distilled.synthetic.images, distilled.synthetic.classes]],
            "accs_all_exps": {"ConvNet": [np.float64(0.9)]},
        },
        path,
    )
    return path


def bacon_evaluate(*arguments, cache):
    return CliRunner().invoke(
        main, ["evaluate", *map(str, arguments), "--device", "cpu", "--cache", str(cache), "--epochs", "3"]
    )


def only(path: Path) -> Path:
    """A folder with this file alone."""
    folder = path.with_suffix("")
    folder.mkdir()
    shutil.copy(path, folder)
    return folder


def accuracies(path: Path) -> list[float]:
    return [record.test_accuracy for record in read_evaluation(path)["records"]]


def test_our_own_file_gives_the_numbers_of_the_workflow(here, finished, tmp_path):
    expected = accuracies(here / CELL.evaluation_path("convnet"))
    settings = finished.settings(CELL)
    width = settings.network.width
    assert width == 8
    paths = [here / CELL.distilled_path]
    paths += [
        export_cell(finished, CELL, kind="pt", form=form, output=tmp_path / form) for form in ("decoded", "stored")
    ]
    for number, path in enumerate(paths):
        # The registry's network of digits has width 32, the cell's has 8: the workflow's numbers are of the latter.
        request = Request(file=path, data="", evaluation={"epochs": 3, "seeds": 2})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bacon.interchange.evaluate_file._network", lambda *_: settings.network)
            output = tmp_path / f"{number}.json"
            result = evaluate_file(request, device=CPU, cache=tmp_path / f"cache{number}", output=output)
        assert [record.test_accuracy for record in result.records] == expected
        assert accuracies(output) == expected
        assert result.images == 400


def test_the_same_file_published_by_others_gives_the_same_as_ours(here, theirs, tmp_path):
    ours = bacon_evaluate(
        here / CELL.distilled_path, "--seeds", 1, "--output", tmp_path / "o.json", cache=tmp_path / "a"
    )
    assert ours.exit_code == 0, ours.output
    stated = ["--data", "digits", "--pixels", "normalised", "--mean", "data", "--std", "data", "--partition", 2]
    output = ["--title", "BACON, authors' file", "--output", tmp_path / "t.json"]
    found = bacon_evaluate(theirs, *stated, "--seeds", 1, *output, cache=tmp_path / "b")
    assert found.exit_code == 0, found.output
    assert accuracies(tmp_path / "o.json") == accuracies(tmp_path / "t.json")
    source = json.loads((tmp_path / "t.json").read_text())["source"]
    mean = read_dataset(here / "results/data/digits.h5").mean
    assert {name: source[name] for name in ("pixels", "mean", "partition", "training_images")} == {
        "pixels": "normalised",
        "mean": list(mean),
        "partition": 2,
        "training_images": 400,
    }
    ranked = read_file_evaluations([only(tmp_path / "t.json")], [])
    images = read_distilled(here / CELL.distilled_path).synthetic.images
    assert ranked[["method_title", "dataset_title", "ipc", "stored_bytes"]].values.tolist() == [
        ["BACON, authors' file", "Digits", CELL.ipc, images.nbytes]
    ]
    for part in (
        "400 training images",
        "partition 2",
        f"pixels normalised with mean {mean[0]:.4g} and std ",
        "3 epochs, SGD lr 0.01",
        "DSA without flip",
    ):
        assert part in found.output
    # A wrong format is another number, which is why none is guessed.
    wrong = bacon_evaluate(theirs, *stated[:-1], 1, "--seeds", 1, "--output", tmp_path / "w.json", cache=tmp_path / "b")
    assert wrong.exit_code == 0, wrong.output
    assert accuracies(tmp_path / "w.json") != accuracies(tmp_path / "o.json")


def test_mean_sd_and_n_are_printed(here, tmp_path):
    done = bacon_evaluate(
        here / CELL.distilled_path, "--seeds", 3, "--output", tmp_path / "o.json", cache=tmp_path / "c"
    )
    values = 100 * np.array(accuracies(tmp_path / "o.json"))
    row = re.search(r"│ dsa\s+│ 0.01\s+│ ([\d.]+)\s+│ ([\d.]+)\s+│ 3\s+│", done.output)
    assert row is not None, done.output
    assert float(row[1]) == pytest.approx(values.mean(), abs=0.006)
    assert float(row[2]) == pytest.approx(values.std(ddof=1), abs=0.006)


def test_a_stopped_call_goes_on_where_it_was(here, tmp_path, monkeypatch):
    first = bacon_evaluate(
        here / CELL.distilled_path, "--seeds", 2, "--output", tmp_path / "a.json", cache=tmp_path / "c"
    )
    assert first.exit_code == 0, first.output
    monkeypatch.setattr("bacon.evaluation.trained_networks.train_and_test", None)
    again = bacon_evaluate(
        here / CELL.distilled_path, "--seeds", 2, "--output", tmp_path / "b.json", cache=tmp_path / "c"
    )
    assert again.exit_code == 0, again.output
    assert accuracies(tmp_path / "a.json") == accuracies(tmp_path / "b.json")


def test_protocols_and_networks(here, tmp_path):
    done = bacon_evaluate(
        here / CELL.distilled_path, "--protocol", "dc-bench", "--network", "mlp", "--seeds", 1, cache=tmp_path
    )
    assert done.exit_code == 0, done.output
    for name in ("none", "auto", "rand", "imagenet", "cifar", "dsa", "none + auto + rand + imagenet + cifar + dsa"):
        assert f"│ {name} " in done.output
    assert "MLP, no norm" in done.output
    refused = bacon_evaluate(here / CELL.distilled_path, "--protocol", "dd-ranking", cache=tmp_path)
    assert refused.exit_code == 1
    assert "set data.digits.validation" in refused.output
    refused = bacon_evaluate(here / CELL.distilled_path, "--protocol", "p-rded", cache=tmp_path)
    assert refused.exit_code == 1
    assert "its labels come from networks trained on the real set" in refused.output


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ([], ["give the data set that it was distilled from with --data", "--data cifar10"]),
        (["--data", "digits"], ["nothing is guessed", "--pixels raw", "--partition 1"]),
        (["--data", "digits", "--pixels", "raw"], ["nothing is guessed", "--partition 1"]),
        (
            ["--data", "digits", "--pixels", "normalised", "--partition", 2],
            ["nothing is guessed", "--mean: what", "--std: what"],
        ),
        (["--data", "digits", "--pixels", "raw", "--mean", "0.5", "--partition", 1], ["belong to --pixels normalised"]),
        (
            ["--data", "digits", "--pixels", "normalised", "--mean", "a", "--std", "1", "--partition", 1],
            ["--mean 'a': must be numbers"],
        ),
        (
            ["--data", "digits", "--pixels", "normalised", "--mean", "0", "--std", "0", "--partition", 1],
            ["--std '0': must be positive"],
        ),
        (["--data", "digit"], ["results/data/digit.h5: the data set is not prepared; did you mean 'digits'?"]),
        (["--data", "results/data/digit.h5"], ["did you mean results/data/digits.h5?"]),
        (["--data", "cifr10"], ["results/data/cifr10.h5: the data set is not prepared; did you mean 'cifar10'?"]),
        (["--data", "cifar10"], ["results/data/cifar10.h5: the data set is not prepared", "snakemake results/data"]),
        (
            [
                "--data",
                "digits",
                "--pixels",
                "normalised",
                "--mean",
                "0",
                "--std",
                "1",
                "--partition",
                2,
                "--network",
                "resnet",
            ],
            ["--network 'resnet' is unknown", "resnet18"],
        ),
    ],
)
def test_what_is_not_stated_is_asked_for(theirs, tmp_path, options, fragments):
    done = bacon_evaluate(theirs, *options, cache=tmp_path)
    assert done.exit_code == 1, done.output
    for fragment in fragments:
        assert fragment in done.output
    assert not any(tmp_path.glob("*/*.json"))


def test_our_own_file_states_itself(here, tmp_path):
    done = bacon_evaluate(here / CELL.distilled_path, "--pixels", "raw", "--partition", 1, cache=tmp_path)
    assert done.exit_code == 1
    assert "already says what it holds; leave out --pixels, --partition" in done.output
