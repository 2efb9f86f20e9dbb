"""Time to accuracy: the points of the clock, going on after a stop, and what the figures say."""

import json

import pytest
import torch
import yaml
from click.testing import CliRunner

from bacon.datasets.prepare import prepare
from bacon.datasets.store import read_dataset
from bacon.distillation.real_images import RealImages
from bacon.settings.data import DataSettings
from benchmarks import accuracy
from benchmarks.__main__ import main
from benchmarks.accuracy import Point, figures, seconds_to
from benchmarks.cells import engine_of, measured

CELL = "digits/bacon/ipc1"


@pytest.fixture
def inputs(tmp_path):
    """Prepared digits with a validation split, and a configuration of four iterations."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"preset": "smoke", "grid": {"datasets": ["digits"]}}))
    data = tmp_path / "digits.h5"
    prepare("digits", DataSettings(validation=0.1), download_dir=tmp_path, output=data, fingerprint="x")
    return config, data


def command(inputs, folder, *more):
    config, data = inputs
    given = ["--cell", CELL, "--config", str(config), "--data", str(data), "--folder", str(folder), "--device", "cpu"]
    given += ["--clock", "1000", "--clock", "1e-6", "--networks", "2", "--output", str(folder / "out.json")]
    return CliRunner().invoke(main, ["accuracy", *given, *more])


def found(folder):
    rows = json.loads((folder / "out.json").read_text())["accuracy"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_accuracy_at_every_point_of_the_clock(inputs, tmp_path):
    result = command(inputs, tmp_path / "run", "--target", "1")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "run" / "out.json").read_text())
    rows = content["accuracy"]
    # The first iteration passes the first point; the last one ends the run before the second.
    assert [row["iteration"] for row in rows] == [0, 1, 4]
    assert rows[0]["seconds"] == 0 < rows[1]["seconds"] < rows[2]["seconds"]
    for row in rows:
        assert row["networks"] == 2
        assert 0 <= row["validation_accuracy"] <= 100
        assert row["test_std"] >= 0
    assert content["seconds_to_target"] == next(row["seconds"] for row in rows if row["test_accuracy"] >= 1)
    assert "test_accuracy" in result.output


def test_images_are_those_of_the_engine(inputs, tmp_path):
    config, data = inputs
    cell, dataset = measured(CELL, config), read_dataset(data)
    plan = accuracy.Plan(measured=cell, data=data, clock=(1e-6, 1000.0), networks=1, folder=tmp_path / "run")
    points = accuracy.distilled(plan, dataset, torch.device("cpu"))
    engine = engine_of(cell, RealImages(dataset, device=torch.device("cpu")))
    assert [point.iteration for point in points] == [0, 1, 4]
    for point in points:
        while engine.iteration < point.iteration:
            engine.step()
        assert torch.equal(point.images, engine.algorithm.images)


def test_a_stopped_run_goes_on_and_gives_the_same(inputs, tmp_path):
    for _ in range(3):  # one iteration each
        result = command(inputs, tmp_path / "pieces", "--limit", "0")
        assert result.exit_code == 3
        assert "resumes" in result.output
    result = command(inputs, tmp_path / "pieces")
    assert result.exit_code == 0, result.output
    command(inputs, tmp_path / "whole")
    assert found(tmp_path / "pieces") == found(tmp_path / "whole")


def test_networks_that_are_there_are_not_trained_again(inputs, tmp_path, monkeypatch):
    command(inputs, tmp_path / "run")
    monkeypatch.setattr(accuracy, "train_and_test", None)
    before = found(tmp_path / "run")
    assert command(inputs, tmp_path / "run").exit_code == 0
    assert found(tmp_path / "run") == before


def test_figures_are_percent_and_the_first_point_at_the_target_counts():
    point = Point(seconds=3.0, iteration=7, images=torch.zeros(1))
    records = [{"test": 0.4, "validation": None}, {"test": 0.5, "validation": None}]
    made = figures(point, records, 45.0)
    assert made == {
        "seconds": 3.0,
        "iteration": 7,
        "networks": 2,
        "test_accuracy": pytest.approx(45),
        "test_std": pytest.approx(50**0.5),
        "reached": True,
    }
    rows = [{"seconds": 1, "reached": False}, {"seconds": 2, "reached": True}, {"seconds": 3, "reached": True}]
    assert seconds_to(rows) == 2
    assert seconds_to(rows[:1]) is None
