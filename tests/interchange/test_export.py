"""Exports: round trips through every format, what other programs read, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from torchvision.datasets import ImageFolder

from bacon import load_distilled
from bacon.artifacts.distilled_file import DistillationResult, read_distilled
from bacon.artifacts.evaluation_records import read_evaluation
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.cli import main
from bacon.datasets.whitening import Whitening
from bacon.interchange.arrays import read_arrays, write_arrays
from bacon.interchange.content import export_of
from bacon.interchange.export_cell import FORMATS, export_cell
from bacon.interchange.folders import class_folders, read_folder, without_whitening, write_folder
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode
from tests.interchange.conftest import CELL

ROOT = Path(__file__).parents[2]
EXACT = ("pt", "safetensors", "npz")
FOLDERS = ("png", "huggingface")


@pytest.fixture(scope="session")
def distilled(finished) -> DistillationResult:
    return read_distilled(finished.directory / CELL.distilled_path)


@pytest.fixture(scope="session")
def exports(finished, tmp_path_factory) -> dict[tuple[str, str], Path]:
    output = tmp_path_factory.mktemp("exports")
    return {
        (kind, form): export_cell(finished, CELL, kind=kind, form=form, output=output / form)
        for kind in FORMATS
        for form in ("decoded", "stored")
    }


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("form", ["decoded", "stored"])
def test_tensors_come_back_bit_for_bit(finished, distilled, exports, kind, form):
    found = read_arrays(exports[kind, form])
    factor = 2 if form == "stored" else 1
    assert found.metadata["partition"] == factor
    expected = distilled.synthetic.images if form == "stored" else decode(distilled.synthetic.images, 2)
    assert torch.equal(found.synthetic.images, expected)
    direct, loaded = (load_distilled(path) for path in (finished.directory / CELL.distilled_path, exports[kind, form]))
    assert torch.equal(loaded.images, direct.images)
    assert torch.equal(loaded.labels, distilled.synthetic.classes.repeat_interleave(4))
    assert torch.equal(direct.labels, loaded.labels)
    assert len(loaded) == 400
    assert (loaded.class_names, loaded.mean, loaded.std) == (direct.class_names, direct.mean, direct.std)
    assert loaded.attributes["settings"] == direct.attributes["settings"]
    assert loaded.attributes["fingerprint"] == direct.attributes["fingerprint"]
    image, label = loaded[399]
    assert torch.equal(image, direct.images[399])
    assert label == 9


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("form", ["decoded", "stored"])
def test_folders_come_back_rounded_to_256_levels(distilled, exports, kind, form):
    raw = load_distilled(exports[kind, form], raw=True)
    mean, std = (torch.tensor(distilled.attributes[name])[:, None, None] for name in ("mean", "std"))
    stored = distilled.synthetic.images if form == "stored" else decode(distilled.synthetic.images, 2)
    pixels = (stored * std + mean).clamp(0, 1)
    expected = pixels if form == "decoded" else decode(pixels.float(), 2)
    assert (raw.images - expected).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(raw.labels, distilled.synthetic.classes.repeat_interleave(4))
    normalised = load_distilled(exports[kind, form])
    torch.testing.assert_close(normalised.images, ((raw.images - mean) / std).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", FOLDERS)
def test_torchvision_reads_the_folder_with_our_labels(distilled, exports, kind):
    path = exports[kind, "decoded"]
    folder = ImageFolder(str(path / "train" if kind == "huggingface" else path))
    assert folder.classes == list(distilled.attributes["class_names"])
    assert torch.equal(torch.tensor(folder.targets).bincount(), torch.full((10,), 40))
    image, label = folder[399]
    ours = load_distilled(path, raw=True)
    np.testing.assert_allclose(np.asarray(image)[..., 0] / 255, ours.images[399, 0], atol=1e-6)
    assert label == 9


def test_pt_loads_without_this_package(exports):
    content = torch.load(exports["pt", "decoded"], weights_only=True)
    assert content["images"].shape == (400, 1, 16, 16)
    assert content["metadata"]["licence"].startswith("CC BY 4.0")
    with np.load(exports["npz", "decoded"], allow_pickle=False) as file:
        assert json.loads(str(file["metadata"])) == content["metadata"]


def test_metadata_hold_accuracy_with_its_n_sd_and_protocol(finished, exports):
    (found,) = read_arrays(exports["pt", "decoded"]).metadata["evaluations"]
    records = read_evaluation(finished.directory / CELL.evaluation_path("convnet"))["records"]
    values = [record.test_accuracy for record in records]
    assert (found["network"], found["n"]) == ("convnet", 2)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["sd"] == pytest.approx(np.std(values, ddof=1))
    assert found["protocol"].startswith("3 epochs, SGD lr 0.01")
    assert found["network_text"] == "ConvNet, depth 3, width 8, instance norm"


def test_the_card_says_what_a_reader_must_know(exports):
    text = (exports["huggingface", "decoded"] / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    head = yaml.safe_load(head)
    assert head["license"] == "cc-by-4.0"
    assert head["task_categories"] == ["image-classification"]
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "train/**"}]
    metadata = json.loads((exports["huggingface", "decoded"] / "bacon.json").read_text())
    for part in (
        metadata["pixels_sha256"],
        metadata["images_sha256"],
        metadata["fingerprint"],
        f"{100 * metadata['evaluations'][0]['mean']:.1f} ± {100 * metadata['evaluations'][0]['sd']:.1f}",
        "| 2",
        "3 epochs",
        "CC BY 4.0",
        "iterations: 4",
        'load_dataset("imagefolder"',
        "Zhou et al., BACON",
        "another run gives the same bits",
    ):
        assert part in body
    stored = (exports["huggingface", "stored"] / "README.md").read_text()
    assert "cut each into 2 x 2 parts" in stored


def test_nothing_is_overwritten_without_force(finished, tmp_path):
    for kind in FORMATS:
        path = export_cell(finished, CELL, kind=kind, form="decoded", output=tmp_path)
        inside = path / "bacon.json" if path.is_dir() else path
        before = inside.read_bytes()
        inside.write_bytes(b"mine")
        with pytest.raises(BaconError, match=f"{re.escape(str(path))}: already exists; use --force to replace it"):
            export_cell(finished, CELL, kind=kind, form="decoded", output=tmp_path)
        assert inside.read_bytes() == b"mine"
        assert export_cell(finished, CELL, kind=kind, form="decoded", output=tmp_path, force=True) == path
        if kind != "npz":  # a zip file holds the time
            assert inside.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == len(FORMATS)


@pytest.mark.parametrize("kind", ["pt", "huggingface"])
def test_a_failed_export_leaves_what_was_there(finished, tmp_path, monkeypatch, kind):
    path = export_cell(finished, CELL, kind=kind, form="decoded", output=tmp_path)
    before = sorted(str(entry) for entry in tmp_path.rglob("*"))

    def fails(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("bacon.interchange.export_cell.write_arrays", fails)
    monkeypatch.setattr("bacon.interchange.export_cell.dataset_card", fails)
    with pytest.raises(OSError, match="disk full"):
        export_cell(finished, CELL, kind=kind, form="decoded", output=tmp_path, force=True)
    assert sorted(str(entry) for entry in tmp_path.rglob("*")) == before
    assert len(load_distilled(path)) == 400


def test_a_stale_cell_is_not_exported(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(type(finished), "distilled_fingerprint", lambda *_: "other")
    with pytest.raises(BaconError, match="Run snakemake again"):
        export_cell(finished, CELL, kind="pt", form="decoded", output=tmp_path)


def test_an_evaluation_of_other_settings_is_left_out(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(type(finished), "evaluation_fingerprint", lambda *_: "other")
    path = export_cell(finished, CELL, kind="huggingface", form="decoded", output=tmp_path)
    assert "It has not been evaluated." in (path / "README.md").read_text()


def edited(path: Path, tmp_path: Path) -> Path:
    """A copy whose first image differs by one bit of a pixel, its metadata unchanged."""
    copy = tmp_path / path.name
    export = read_arrays(path)
    export.synthetic.images[0, 0, 0, 0] += 1e-3
    write_arrays(export, copy)
    return copy


@pytest.mark.parametrize("kind", EXACT)
def test_changed_or_damaged_files_are_refused(exports, tmp_path, kind):
    path = exports[kind, "decoded"]
    with pytest.raises(BaconError, match="were changed or damaged after the export: they have the sha256"):
        load_distilled(edited(path, tmp_path))
    cut = tmp_path / f"cut{path.suffix}"
    cut.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BaconError, match=rf"cut\{path.suffix}: not a readable \{path.suffix} file"):
        load_distilled(cut)
    with pytest.raises(BaconError, match="the file does not exist"):
        load_distilled(tmp_path / f"absent{path.suffix}")


def test_changed_folders_are_refused(exports, tmp_path):
    import shutil

    source, copy = exports["png", "decoded"], tmp_path / "copy"
    shutil.copytree(source, copy)
    first = min((copy / "0").iterdir())
    first.write_bytes(max((copy / "9").iterdir()).read_bytes())
    with pytest.raises(BaconError, match="were changed or damaged after the export: they have the sha256"):
        load_distilled(copy)
    first.write_bytes(b"no image")
    with pytest.raises(BaconError, match="not a readable folder"):
        load_distilled(copy)
    (copy / "bacon.json").unlink()
    with pytest.raises(BaconError, match=r"not a folder that `bacon export` wrote.*bacon\.json is missing"):
        load_distilled(copy)


def test_files_of_others_and_of_other_versions_are_named(tmp_path):
    torch.save((torch.zeros(2, 1, 4, 4), torch.zeros(2)), tmp_path / "theirs.pt")
    with pytest.raises(BaconError, match=r"theirs\.pt: .*`bacon evaluate`"):
        load_distilled(tmp_path / "theirs.pt")
    torch.save({"metadata": {"format": "bacon-export", "version": 9}}, tmp_path / "newer.pt")
    with pytest.raises(BaconError, match="export of version 9"):
        load_distilled(tmp_path / "newer.pt")


def test_a_pickle_that_runs_code_does_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"images": Harmful()}, tmp_path / "harmful.pt")
    with pytest.raises(BaconError, match="not a readable"):
        load_distilled(tmp_path / "harmful.pt")
    assert not (tmp_path / "ran").exists()


# Whitening, colour, class names


def whitened() -> tuple[DistillationResult, torch.Tensor]:
    """Six colour images of three classes under an invertible whitening, and their pixels in [0, 1]."""
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.random((6, 3, 4, 4), dtype=np.float32))
    matrix = np.eye(48, dtype=np.float32) * 2 + 0.01
    whitening = Whitening(mean=np.full(48, 0.5, np.float32), matrix=matrix, epsilon=0.1)
    attributes = {
        **{"dataset": "mine", "method": "dm", "ipc": 2, "seed": 0, "iterations": 9, "fingerprint": "f"},
        **{"data_fingerprint": "d", "settings": {}, "provenance": {}, "class_names": ["wolf", "cat/dog", ""]},
        **{"mean": np.array([0.5, 0.4, 0.3]), "std": np.array([0.2, 0.2, 0.2])},
    }
    images = torch.from_numpy(whitening.apply(pixels.numpy()))
    labels = torch.arange(3).repeat_interleave(2)
    synthetic = SyntheticSet(images=images, classes=labels)
    return DistillationResult(synthetic=synthetic, attributes=attributes, whitening=whitening), pixels


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_whitening_travels_with_tensors(tmp_path, suffix):
    distilled, pixels = whitened()
    write_arrays(export_of(distilled, form="decoded", licence="x", evaluations=[]), tmp_path / f"a{suffix}")
    loaded, raw = load_distilled(tmp_path / f"a{suffix}"), load_distilled(tmp_path / f"a{suffix}", raw=True)
    assert torch.equal(loaded.images, distilled.synthetic.images)
    assert loaded.whitening.epsilon == 0.1
    torch.testing.assert_close(raw.images, pixels, rtol=0, atol=1e-5)


def test_whitened_images_become_pixels_in_a_folder(tmp_path):
    distilled, pixels = whitened()
    export = export_of(distilled, form="decoded", licence="x", evaluations=[])
    (tmp_path / "a").mkdir()
    write_folder(without_whitening(export), tmp_path / "a")
    found = read_folder(tmp_path / "a")
    assert found.whitening is None
    torch.testing.assert_close(found.raw(), pixels, rtol=0, atol=0.5 / 255 + 1e-5)
    assert ImageFolder(str(tmp_path / "a")).classes == ["0_wolf", "1_cat_dog", "2"]


def test_two_channels_are_no_png(tmp_path):
    distilled, _ = whitened()
    two = DistillationResult(
        synthetic=SyntheticSet(images=distilled.synthetic.images[:, :2], classes=distilled.synthetic.classes),
        attributes={**distilled.attributes, "mean": [0.5, 0.5], "std": [0.2, 0.2]},
    )
    with pytest.raises(BaconError, match="2 channels cannot be written as PNG"):
        write_folder(export_of(two, form="decoded", licence="x", evaluations=[]), tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["dog", "cat"], ["0_dog", "1_cat"]),
        ([str(label) for label in range(11)], [f"{label:02d}_{label}" for label in range(11)]),
        (["A", "a"], ["0_A", "1_a"]),
        (["../up", ".hid"], ["0_up", "1_hid"]),
    ],
)
def test_class_folders_sort_in_label_order(names, expected):
    assert class_folders(names) == expected
    assert sorted(expected) == expected


# The command and the tutorial


def test_the_command(finished, tmp_path, monkeypatch):
    from tests.interchange.conftest import CONFIG

    monkeypatch.chdir(finished.directory)
    (tmp_path / "config.yaml").write_text(json.dumps(CONFIG))
    options = ["--config", str(tmp_path / "config.yaml"), "--format", "pt", "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(main, ["export", str(CELL), *options])
    assert done.exit_code == 0, done.output
    path = tmp_path / "out" / "digits_bacon_ipc10_seed0.pt"
    assert f"wrote {path}" in done.output
    again = CliRunner().invoke(main, ["export", str(CELL), *options])
    assert again.exit_code == 1
    assert "--force" in again.output
    wrong = CliRunner().invoke(main, ["export", "digits/bacon/ipc10/seed7", *options])
    assert "did you mean 'digits/bacon/ipc10/seed0'" in wrong.output


def test_the_tutorial_runs_and_learns(finished, exports, monkeypatch, tmp_path, capsys):
    page = (ROOT / "docs" / "use-a-distilled-set.md").read_text()
    program = re.search(r"## Train a network\n.*?```python\n(.*?)```", page, re.DOTALL).group(1)
    lines = [line for line in program.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 20
    (tmp_path / "exports").symlink_to(exports["pt", "decoded"].parent)
    (tmp_path / "results").symlink_to(finished.directory / "results")
    monkeypatch.chdir(tmp_path)
    state = torch.get_rng_state()
    names: dict = {}
    exec(compile(program, "docs/use-a-distilled-set.md", "exec"), names)
    torch.set_rng_state(state)
    assert names["accuracy"] > 0.8
    assert capsys.readouterr().out == f"test accuracy {names['accuracy']:.3f}\n"
