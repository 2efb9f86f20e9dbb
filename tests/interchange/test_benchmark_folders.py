"""Folders for DD-Ranking and DC-BENCH: what lies in them, and what is refused. tests/ddranking runs DD-Ranking itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from bacon.cli import main
from bacon.datasets.registry import REGISTRY
from bacon.datasets.whitening import Whitening
from bacon.interchange import dc_bench_folder, dd_ranking_folder
from bacon.interchange.dc_bench_folder import write_dc_bench
from bacon.interchange.dd_ranking_folder import write_dd_ranking
from bacon.interchange.export_cell import BENCHMARKS, FORMATS, export_cell
from bacon.runtime.errors import BaconError
from tests.interchange.conftest import CELL
from tests.interchange.made_exports import made_export

DM_FILE = "DM/CIFAR10/IPC10/res_DM_CIFAR10_ConvNet_10ipc.pt"


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("method", ["dc", "dsa", "dm"])
@pytest.mark.parametrize(
    ("dataset", "name", "network"), [("cifar10", "CIFAR10", "ConvNet"), ("tinyimagenet", "tinyimagenet", "ConvNetD4")]
)
def test_dc_bench_finds_the_last_experiment_under_the_name_that_it_makes(tmp_path, method, dataset, name, network):
    """Its loaders of DC, DSA and DM: ``torch.load(ROOT/METHOD/DATA/IPCn/res_....pt)["data"][-1]``."""
    size, classes = (32, 10) if dataset == "cifar10" else (64, 200)
    moments = {"mean": list(REGISTRY[dataset].mean), "std": list(REGISTRY[dataset].std)}
    export = made_export(dataset=dataset, method=method, class_count=classes, size=size, moments=moments)
    write_dc_bench(export, tmp_path)
    upper = method.upper()
    images, labels = torch.load(tmp_path / upper / name / "IPC1" / f"res_{upper}_{name}_{network}_1ipc.pt")["data"][-1]
    assert same((images, labels.long()), (export.synthetic.images, export.synthetic.classes))


@pytest.mark.parametrize(
    ("method", "folder", "files"),
    [
        ("random", "random", "CIFAR10_IPC2_normalize_{}.pt"),
        ("kmeans", "Kmeans", "CIFAR10_IPC2_{}.pt"),
        ("mtt", "TM", "{}_best.pt"),
        ("bacon", "TM", "{}_best.pt"),  # unknown to it
    ],
)
def test_dc_bench_finds_images_and_labels_in_two_files(tmp_path, method, folder, files):
    export = made_export(method=method, ipc=2)
    write_dc_bench(export, tmp_path)
    place = tmp_path / folder / "CIFAR10" / "IPC2"
    images, labels = (torch.load(place / files.format(what)) for what in ("images", "labels"))
    assert same((images, labels.long()), (export.synthetic.images, export.synthetic.classes))
    readme = (tmp_path / "README.md").read_text()
    assert f"--method {folder.lower()} --dataset CIFAR10 --ipc 2" in readme
    assert ("does not know the method" in readme) == (method == "bacon")


def test_dc_bench_reads_fifty_images_a_class_of_tinyimagenet_in_five_files(tmp_path, monkeypatch):
    assert (dc_bench_folder.DATA["tinyimagenet"].name, 50, 5) == dc_bench_folder._SPLIT
    monkeypatch.setattr(dc_bench_folder, "_SPLIT", ("CIFAR10", 2, 5))  # the same of a small set
    export = made_export(method="mtt", ipc=2)
    write_dc_bench(export, tmp_path)
    place = tmp_path / "TM" / "CIFAR10" / "IPC2"
    found = [
        torch.cat([torch.load(place / f"{what}_best_{part}.pt") for part in range(5)]) for what in ("images", "labels")
    ]
    assert same(found, (export.synthetic.images, export.synthetic.classes))
    assert (place / "images_best_0.pt").stat().st_size < (export.synthetic.images.nbytes // 4)


def test_our_own_reader_takes_what_dc_bench_takes(tmp_path):
    from bacon.interchange.published_layouts import read_tensors

    export = made_export(method="dm", ipc=10)
    write_dc_bench(export, tmp_path)
    assert same(read_tensors(tmp_path / DM_FILE), (export.synthetic.images, export.synthetic.classes))


@pytest.mark.parametrize("benchmark", [dd_ranking_folder, dc_bench_folder])
def test_images_are_normalised_as_the_benchmark_does(tmp_path, benchmark):
    """DD-Ranking normalises CIFAR-100 with the moments of CIFAR-10."""
    export = made_export(
        dataset="cifar100", method="dm", class_count=100, moments={"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    )
    if benchmark is dd_ranking_folder:
        write_dd_ranking(export, tmp_path)
        images, mean, std = torch.load(tmp_path / "images.pt"), (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    else:
        write_dc_bench(export, tmp_path)
        images = torch.load(tmp_path / "DM/CIFAR100/IPC1/res_DM_CIFAR100_ConvNet_1ipc.pt")["data"][-1][0]
        mean, std = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
    pixels = export.synthetic.images.double().numpy() * np.reshape([0.4, 0.5, 0.6], (3, 1, 1)) + np.reshape(
        [0.1, 0.2, 0.3], (3, 1, 1)
    )
    expected = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert np.abs(images.numpy() - expected).max() < 1e-5


def test_images_that_are_normalised_so_already_keep_their_bits(tmp_path):
    export = made_export()
    write_dd_ranking(export, tmp_path)
    assert torch.equal(torch.load(tmp_path / "images.pt"), export.synthetic.images)
    assert torch.equal(torch.load(tmp_path / "labels.pt"), export.synthetic.classes)
    assert not (tmp_path / "lr.pt").exists()
    assert "hard_labels=torch.load" in (tmp_path / "README.md").read_text()


def test_dd_ranking_gets_logits_of_soft_labels_and_the_learned_rate(tmp_path):
    """It takes the softmax of labels; of a probability 0 the logarithm stays finite."""
    soft = torch.full((10, 10), 0.5 / 8)
    soft[torch.arange(10), torch.arange(10)] = 0.5
    soft[torch.arange(10), (torch.arange(10) + 1) % 10] = 0
    export = made_export(soft=soft, soft_kind="probabilities", rates=torch.tensor([0.02]))
    write_dd_ranking(export, tmp_path)
    logits = torch.load(tmp_path / "labels.pt")
    assert logits.isfinite().all()
    assert torch.allclose(logits.softmax(dim=1), soft, atol=1e-7)
    assert torch.load(tmp_path / "lr.pt").item() == pytest.approx(0.02)
    assert torch.equal(torch.load(tmp_path / "classes.pt"), export.synthetic.classes)
    readme = (tmp_path / "README.md").read_text()
    assert "LabelRobustScoreSoft" in readme
    assert 'soft_labels=torch.load("labels.pt"), syn_lr=torch.load("lr.pt")' in readme


def test_logits_are_written_as_they_are_and_a_rate_for_every_step_is_not(tmp_path):
    soft = torch.randn((10, 10), generator=torch.Generator().manual_seed(1))
    export = made_export(soft=soft, soft_kind="logits", rates=torch.tensor([0.02, 0.01]))
    write_dd_ranking(export, tmp_path)
    assert torch.equal(torch.load(tmp_path / "labels.pt"), soft)
    assert not (tmp_path / "lr.pt").exists()
    assert "rate was learned for every step" in (tmp_path / "README.md").read_text()


def test_more_training_images_than_the_ipc_are_told_of(tmp_path):
    write_dd_ranking(made_export(ipc=1, per_class=4), tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["ipc"] == 1
    assert "4 training images of a class are stored in 1" in (tmp_path / "README.md").read_text()


def whitening(epsilon: float) -> Whitening:
    """A map that halves every value, which is what is asked of it here."""
    count = 3 * 32 * 32
    one = np.eye(count, dtype=np.float32)
    made = Whitening(mean=np.zeros(count, np.float32), matrix=one / 2, epsilon=epsilon)
    vars(made)["inverse"] = 2 * one  # known, and slow to compute
    return made


@pytest.mark.parametrize(("epsilon", "alike"), [(0.1, True), (0.05, False)])
def test_dd_ranking_whitens_too_where_its_map_is_ours(tmp_path, epsilon, alike):
    export = made_export(whitening=whitening(epsilon))
    write_dd_ranking(export, tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["use_zca"] is alike
    mean, std = (torch.tensor(export.metadata[key])[:, None, None] for key in ("mean", "std"))
    expected = export.synthetic.images if alike else (2 * export.synthetic.images - mean) / std
    assert torch.allclose(torch.load(tmp_path / "images.pt"), expected, atol=1e-5)
    assert ("another epsilon" in (tmp_path / "README.md").read_text()) is not alike


def test_dc_bench_is_told_of_all_that_it_does_not_take(tmp_path):
    soft = torch.full((10, 10), 0.1)
    export = made_export(
        method="dm", ipc=1, whitening=whitening(0.1), soft=soft, soft_kind="probabilities", rates=torch.ones(1)
    )
    write_dc_bench(export, tmp_path)
    readme = (tmp_path / "README.md").read_text()
    for words in ("distilled whitened", "no soft labels", "no learned learning rates"):
        assert words in readme
    mean, std = (torch.tensor(export.metadata[key])[:, None, None] for key in ("mean", "std"))
    images, labels = torch.load(tmp_path / "DM/CIFAR10/IPC1/res_DM_CIFAR10_ConvNet_1ipc.pt")["data"][-1]
    assert torch.allclose(images, (2 * export.synthetic.images - mean) / std, atol=1e-5)
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "svhn"}, "has no data set svhn; it evaluates sets distilled from cifar10, cifar100, tinyimagenet"),
        ({"size": 16}, r"images of shape \(3, 16, 16\); .* tests with cifar10 of shape \(3, 32, 32\)"),
        ({"class_count": 2}, "2 classes; .* tests with 10 of cifar10"),
        ({"partition": 2}, "an image holds 4 in stored form.*leave --form stored out"),
    ],
)
@pytest.mark.parametrize("write", [write_dd_ranking, write_dc_bench])
def test_what_a_benchmark_cannot_evaluate_is_refused(tmp_path, changes, message, write):
    with pytest.raises(BaconError, match=message):
        write(made_export(**changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_moments_of_the_benchmarks_are_those_of_the_registry_but_one():
    for known in (dd_ranking_folder.DATA, dc_bench_folder.DATA):
        for name, data in known.items():
            ours = (REGISTRY[name].mean, REGISTRY[name].std)
            assert (ours == data.moments) == (known is dc_bench_folder.DATA or name != "cifar100"), name


def test_a_cell_is_exported_whole_or_not_at_all(finished, tmp_path, monkeypatch):
    """Digits are known to neither; called CIFAR-10 for once, with images of that size, they are written."""
    for kind in BENCHMARKS:
        with pytest.raises(BaconError, match="has no data set digits"):
            export_cell(finished, CELL, kind=kind, form="decoded", output=tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(BENCHMARKS, "dc-bench", lambda _, folder: (folder / "images.pt").write_bytes(b"x"))
    path = export_cell(finished, CELL, kind="dc-bench", form="decoded", output=tmp_path)
    assert path == tmp_path / "digits_bacon_ipc10_seed0_dc-bench"
    assert [each.name for each in path.iterdir()] == ["images.pt"]
    with pytest.raises(BaconError, match="already exists"):
        export_cell(finished, CELL, kind="dc-bench", form="decoded", output=tmp_path)


def test_the_command_knows_every_format():
    shown = CliRunner().invoke(main, ["export", "--help"]).output
    assert all(kind in shown for kind in (*FORMATS, *BENCHMARKS))


def test_scores_of_fractions_by_hand():
    """HLR .4, IOR .1: alpha = .05 - .2 = -.15; e^-.15 = .8607080, e^-1 = .3678794, e - e^-1 = 2.3504024."""
    from bacon.evaluation.scores import label_robust_score

    assert label_robust_score(0.4, 0.1) == pytest.approx((0.8607080 - 0.3678794) / 2.3504024, abs=1e-7)
    assert label_robust_score(0.4, 0.1) == pytest.approx(0.2097, abs=5e-5)
    assert math.isclose(label_robust_score(0.0, 0.0), 0.2689, abs_tol=5e-5)  # no better than random, as good as real
