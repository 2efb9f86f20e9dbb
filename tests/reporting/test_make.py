"""Every table and figure of a whole plan, from files with the plan's fingerprints to what a report reads."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from bacon.datasets.store import ImageDataset, write_dataset
from bacon.operations.workflow_plan import shown_cell, shown_groups
from bacon.reporting.figures.catalogue import drawn, left_out
from bacon.reporting.figures.make_figures import make as make_figures
from bacon.reporting.figures.make_images import make as make_images
from bacon.reporting.page.contents import report_figures, report_tables
from bacon.reporting.tables.make_tables import make as make_tables
from bacon.reporting.targets import PUBLISHED, TARGETS, image_paths
from bacon.runtime.errors import BaconError
from tests.reporting.results import write_results

CONFIG = {
    "preset": "smoke",
    "grid": {
        "datasets": ["cifar10"],
        "methods": ["random", "dm", "bacon", "half"],
        "ipc": [1, 10],
        "seeds": 2,
        "networks": ["convnet", "mlp"],
    },
    "datasets": {"cifar10": {"network": {"width": 4, "depth": 1}}},
    "variants": {"half": {"method": "bacon", "distillation": {"objective": {"lambda": 0.5}}}},
}


WARNING = "no test images of class 'class 3'"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Results of two evaluation networks, two seeds, two IPCs and a variant, with snapshots and histories."""
    plan = write_results(tmp_path_factory.mktemp("made"), CONFIG)
    for cell in plan.cells:
        if cell.method != "random":
            with h5py.File(plan.directory / cell.distilled_path, "r+") as file:
                add_iterations(file)
    for group in shown_groups(plan):
        for path in image_paths(*group):
            (plan.directory / path).unlink(missing_ok=True)
    write_data(plan)
    return plan


def add_iterations(file: h5py.File) -> None:
    images = file["images"][()]
    for iteration, factor in ((0, 0.5), (100, 0.75), (200, 1.0)):
        file[f"snapshots/{iteration}"] = images * np.float32(factor)
        file[f"snapshot_labels/{iteration}"] = file["labels"]
    file["history/iteration"] = np.arange(10)
    for name in ("llh", "tv", "clip", "ce", "queue_accuracy", "loss"):
        file[f"history/{name}"] = np.linspace(1.0, 50.0, 10)


def write_data(plan) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (200, 3, 8, 8)).astype(np.uint8), np.arange(200) % 10
    made = ImageDataset(
        name="cifar10", train_images=images, train_labels=labels, test_images=images, test_labels=labels,
        class_names=tuple(f"class {label}" for label in range(10)), mean=(0.5,) * 3, std=(0.25,) * 3,
        fingerprint=plan.data_fingerprint("cifar10"), warnings=(WARNING,),
    )  # fmt: skip
    path = plan.directory / plan.data_path(plan.cells[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dataset(path, made)


def test_what_is_odd_about_a_data_set_stands_under_the_summary_of_it(plan):
    tables = report_tables(plan, published=PUBLISHED)
    note = f"Warnings on the data set CIFAR-10: {WARNING}."
    assert note in tables["summary"].notes
    assert all(note in own for _, own in tables["summary"].grids)
    assert note not in tables["cost"].notes


def outputs(plan, target: str) -> dict[str, Path]:
    return {name: plan.directory / path for name, path in TARGETS[target].outputs(plan).items()}


def test_every_figure_is_drawn_and_read_by_a_report(plan):
    files = outputs(plan, "figures")
    for path in files.values():
        path.unlink(missing_ok=True)
    make_figures(plan, fingerprint="fp", outputs=files, published=PUBLISHED)
    for group in shown_groups(plan):
        paths = [plan.directory / path for path in image_paths(*group)]
        make_images(plan, shown_cell(plan, "/".join((*group[:2], f"ipc{group[2]}"))), fingerprint="fp", outputs=paths)
    topics = {figure.topic for figure in drawn(plan)}
    assert [figure.topic for figure in left_out(plan)] == [
        "protocols"
    ]  # this grid has one (tests/reporting/test_protocols.py)
    assert {"figure3", "sensitivity", "cross_architecture", "embedding", "evolution", "queue"} < topics
    found = report_figures(plan)
    assert len(found) == len(drawn(plan)) + len(shown_groups(plan))
    for figure in found:
        assert figure.title
        assert len(figure.caption) > 40
        with Image.open(figure.files["png"]) as image:
            assert image.text["Fingerprint"] == "fp"
            assert np.asarray(image.convert("L")).std() > 5, f"{figure.title}: an empty canvas"
        assert figure.files["pdf"].read_bytes().startswith(b"%PDF")


def test_every_table_is_written_and_is_the_one_of_a_report(plan):
    files = outputs(plan, "tables")
    make_tables(plan, fingerprint="fp", outputs=files, published=PUBLISHED)
    tables = report_tables(plan, published=PUBLISHED)
    assert set(tables) == {path.stem for path in files.values()}
    for name, table in tables.items():
        assert table.title
        assert len(table.caption) > 40
        lines = files["accuracy" if name == "accuracy" else f"{name}_csv"].read_text().splitlines()
        assert lines[0].split(",") == list(table.frame.columns)
        assert len(table.frame) > 0
    assert "fingerprint: fp" in files["comparisons_md"].read_text()
    assert "half" in files["summary_md"].read_text()


def test_a_data_set_of_another_fingerprint_is_refused(plan, tmp_path):
    path = plan.directory / plan.data_path(plan.cells[0])
    kept = path.read_bytes()
    with h5py.File(path, "r+") as file:
        file.attrs["fingerprint"] = "old"
    try:
        dm = next(cell for cell in plan.cells if cell.method == "dm")
        with pytest.raises(BaconError, match="'old'"):
            make_images(plan, dm, fingerprint="fp", outputs=[tmp_path / "a.png"])
    finally:
        path.write_bytes(kept)


def test_a_caption_that_is_missing_is_named(plan):
    json_path = plan.directory / drawn(plan)[0].path("json")
    kept = json_path.read_text()
    json_path.write_text(json.dumps({"title": "t"}))
    try:
        with pytest.raises(BaconError, match=json_path.name):
            report_figures(plan)
    finally:
        json_path.write_text(kept)
