"""The workflow from nothing to tables and figures, through the real Snakemake; contents are checked, not only existence."""

import json
import subprocess
import sys
from urllib.parse import unquote

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bacon import load_distilled
from bacon.config.loading import load_config
from bacon.operations.recorded_runs import recorded_runs
from bacon.operations.workflow_plan import load_plan
from bacon.reporting.figures.catalogue import drawn
from tests.reporting.page_tree import content, parse
from tests.workflow.conftest import TINY

pytestmark = pytest.mark.workflow

METHODS = ("random", "dm", "idm", "bacon")


def test_the_first_run_makes_one_job_per_stage_and_cell(finished):
    assert finished.first_run.jobs == {
        "all": 1, "preprocess": 1, "train": 1, "distill": 4, "evaluate": 4, "evaluate_full": 1, "tables": 1, "figures": 1,
        "images": 4, "report": 1,
    }  # fmt: skip


def test_a_second_call_does_nothing(copy):
    run = copy.snakemake()
    assert run.jobs == {}
    assert "Nothing to be done" in run.output


def test_the_preprocessed_data_set(finished):
    with h5py.File(finished.path("results/data/digits.h5")) as file:
        train, test = file["train/images"], file["test/images"]
        assert train.shape[1:] == (1, 16, 16)
        assert len(train) + len(test) == 1797
        assert train.dtype == np.uint8
        assert train.chunks is not None
        assert train.fletcher32
        assert np.bincount(file["train/labels"][()]).min() == 140
        assert len(file.attrs["fingerprint"]) == 32
        assert train[()].std() > 50


@pytest.mark.parametrize("method", METHODS)
def test_distilled_sets(finished, method):
    path = finished.path(f"results/distilled/digits/{method}/ipc1/seed0.h5")
    dataset = load_distilled(path)
    partition = 2 if method in ("idm", "bacon") else 1
    assert dataset.images.shape == (10 * partition**2, 1, 16, 16)
    assert dataset.labels.tolist() == [label for label in range(10) for _ in range(partition**2)]
    assert dataset.class_names == tuple(str(label) for label in range(10))
    assert np.isfinite(dataset.images.numpy()).all()
    settings = dataset.attributes["settings"]
    assert settings["network"]["width"] == 8
    assert dataset.attributes["provenance"]["packages"]["torch"]
    with h5py.File(path) as file:
        if method == "random":
            assert settings["distillation"] == {"partition": 1}
            assert "history" not in file
            return
        assert sorted(file["snapshots"], key=int) == ["0", "2", "4"]
        assert np.array_equal(file["snapshots/4"][()], file["images"][()])
        assert not np.array_equal(file["snapshots/0"][()], file["snapshots/4"][()])
        assert np.isfinite(file["history/loss"][()]).all()
        assert len(file["history/loss"]) == settings["distillation"]["iterations"] == 4


def test_random_images_are_real_training_images(finished):
    images = load_distilled(finished.path("results/distilled/digits/random/ipc1/seed0.h5"), raw=True).images
    with h5py.File(finished.path("results/data/digits.h5")) as file:
        train, labels = file["train/images"][()], file["train/labels"][()]
    for label, image in enumerate(images):
        distances = np.abs(train[labels == label] / 255 - image.numpy()).max(axis=(1, 2, 3))
        assert distances.min() < 1e-5


def test_distillation_starts_from_the_random_coreset(finished):
    """The same seed gives every method the same first images, so that differences are the method's."""
    random = load_distilled(finished.path("results/distilled/digits/random/ipc1/seed0.h5")).images.numpy()
    with h5py.File(finished.path("results/distilled/digits/dm/ipc1/seed0.h5")) as file:
        assert np.array_equal(file["snapshots/0"][()], random)


def test_evaluation_records(finished):
    content = json.loads(finished.path("results/evaluation/digits/bacon/ipc1/seed0/convnet.json").read_text())
    found = [(record["iteration"], record["evaluation_seed"], record["final"]) for record in content["records"]]
    assert found == [(0, 0, False), (2, 0, False), (4, 0, True), (4, 1, True)]
    assert all(0 <= record["test_accuracy"] <= 1 for record in content["records"])
    full = json.loads(finished.path("results/evaluation/digits/full/convnet.json").read_text())
    accuracies = [record["test_accuracy"] for record in full["records"]]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.3, "three epochs on all digits must beat chance by far"


def test_tables(finished):
    accuracy = pd.read_csv(finished.path("results/tables/accuracy.csv"))
    assert len(accuracy) == 2 + 2 + 3 * 4  # full; random; three methods with two final networks and two snapshots
    final = accuracy[accuracy["final"]]
    records = json.loads(finished.path("results/evaluation/digits/idm/ipc1/seed0/convnet.json").read_text())["records"]
    ours = final[final["method"] == "idm"]["test_accuracy_percent"].to_numpy()
    assert ours == pytest.approx([100 * record["test_accuracy"] for record in records if record["final"]])
    summary = pd.read_csv(finished.path("results/tables/summary.csv"))
    assert list(summary["method"]) == ["full", "random", "dm", "idm", "bacon"], "the full data set is the first row"
    row = summary[summary["method"] == "idm"].iloc[0]
    assert row["mean_percent"] == pytest.approx(ours.mean())
    assert row["sd_percent"] == pytest.approx(ours.std(ddof=1))
    assert row["n"] == 2
    for suffix in ("md", "tex"):
        text = finished.path(f"results/tables/summary.{suffix}").read_text()
        assert text.index("Full data set") < text.index("BACON")
    cost = pd.read_csv(finished.path("results/tables/cost.csv"))
    assert set(cost["method"]) == set(METHODS)
    assert (cost["wall_seconds_mean"] > 0).all()


FIGURES = (
    "accuracy", "curve", "seconds", "cost", "classes", "confusion", "loss", "queue", "embedding_digits",
    "evolution_digits_ipc1", "pareto_digits_ipc1",
)  # fmt: skip


@pytest.mark.parametrize("name", [*FIGURES, *(f"images/digits_{method}_ipc1" for method in METHODS)])
def test_figures_are_drawn(finished, name):
    with Image.open(finished.path(f"results/figures/{name}.png")) as image:
        pixels = np.asarray(image.convert("L"))
        assert min(image.size) > 300
        assert pixels.std() > 5, "an empty canvas"
    pdf = finished.path(f"results/figures/{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"%%EOF" in pdf[-1024:]


def test_the_cell_repeats_bit_for_bit(finished, project):
    """The same cell computed alone in another folder gives the same images."""
    project.snakemake("results/distilled/digits/bacon/ipc1/seed0.h5")
    with (
        h5py.File(project.path("results/distilled/digits/bacon/ipc1/seed0.h5")) as again,
        h5py.File(finished.path("results/distilled/digits/bacon/ipc1/seed0.h5")) as first,
    ):
        assert np.array_equal(again["images"][()], first["images"][()])
        assert again.attrs["fingerprint"] == first.attrs["fingerprint"]
        for term in first["history"]:
            assert np.array_equal(again["history"][term][()], first["history"][term][()])


def test_the_report_shows_every_cell_and_its_links_lead_to_files(finished):
    page = parse(finished.path("results/report.html").read_text())
    cells = [f"digits/{method}/ipc1/seed0" for method in METHODS]
    found = {unquote(one.get("id")): one for one in page.iter("tbody") if one.get("id")}
    assert list(found) == ["digits/full", *cells]
    for cell in cells:
        links = [unquote(link.get("href")) for link in found[cell].iter("a")]
        assert f"distilled/{cell}.h5" in links
        assert f"logs/distill/{cell}.log" in links
        assert f"logs/evaluate/{cell}/convnet.log" in links
        assert all(finished.path(f"results/{link}").is_file() for link in links)
    records = json.loads(finished.path("results/evaluation/digits/idm/ipc1/seed0/convnet.json").read_text())["records"]
    for record in records:
        if record["final"]:
            assert f"{100 * record['test_accuracy']:.2f}" in content(found["digits/idm/ipc1/seed0"])


def test_a_run_records_its_configuration_and_a_dry_run_does_not(copy):
    (run,) = recorded_runs(copy.folder)
    assert run.only_file == "config/config.yaml"
    assert load_config(copy.path(str(run.path))) == load_config(copy.path("config/config.yaml"))
    copy.configure(TINY | {"grid": TINY["grid"] | {"ipc": [2]}})
    copy.snakemake("-n")
    assert recorded_runs(copy.folder) == (run,)


def test_the_report_by_hand_is_the_one_of_the_workflow(copy):
    before = copy.path("results/report.html").read_bytes()
    copy.path("results/report.html").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "bacon.cli", "report"], cwd=copy.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert copy.path("results/report.html").read_bytes() == before


def test_snakemakes_own_report_holds_every_figure_and_table(copy):
    copy.snakemake("--report", "results/snakemake-report.html")
    report = copy.path("results/snakemake-report.html").read_text()
    titles = [figure.title for figure in drawn(load_plan(copy.path("config/config.yaml")))]
    assert len(titles) >= 3
    for text in (*titles, "every trained network", "digits"):
        assert text in report
    assert len(report) > 500_000, "figures are embedded"
