"""``bacon verify`` of sets whose networks were labelled by teachers: these are trained from what the card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bacon.artifacts.evaluation_records import read_evaluation
from bacon.cli import main
from bacon.config.loading import check_config
from bacon.interchange.card_seal import sealed
from bacon.interchange.export_cell import export_cell
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.evaluation_job import run_evaluation
from bacon.jobs.training_job import run_training
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell
from tests.interchange.conftest import CONFIG

CELL = Cell("digits", "random", 1, 0)
TEACHER = {
    "labels": "teacher",
    "loss": [{"kind": "kl", "temperature": 4.0}],
    "teachers": {"epochs": 1, "runs": 2},
    "epochs": 1,
}
TRAINED = "bacon.training.run_driver.train_together"


@pytest.fixture(scope="module")
def plan(finished, tmp_path_factory) -> Plan:
    """A finished cell whose networks were labelled by a teacher of the workflow."""
    layer = {"network": {"width": 4}, "evaluation": {"snapshot_seeds": 0, "seeds": 2, **TEACHER}}
    grid = {"datasets": ["digits"], "methods": ["random"], "ipc": [1], "seeds": 1}
    made = Plan(check_config(CONFIG | {"grid": grid, "datasets": {"digits": layer}}), tmp_path_factory.mktemp("taught"))
    data, images = finished.directory / finished.data_path(CELL), made.directory / CELL.distilled_path
    for training in made.trainings.values():
        for block in training.blocks:
            run_training(made, block, data=data, output=made.directory / block.path, threads=1)
    run_cell(made, CELL, data=data, output=images, threads=1)
    output = made.directory / CELL.evaluation_path("convnet")
    run_evaluation(made, CELL, "convnet", data=data, images=images, output=output, threads=1)
    return made


@pytest.fixture
def exported(plan, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return export_cell(plan, CELL, kind="pt", form="decoded", output=tmp_path)


def edited(plan: Plan, folder: Path, change) -> Path:
    path = export_cell(plan, CELL, kind="png", form="decoded", output=folder)
    card = json.loads((path / "bacon.json").read_text())
    change(card)
    (path / "bacon.json").write_text(json.dumps(sealed(card)))
    return path


def verify(finished, path: Path, *arguments, code: int = 0):
    data = str(finished.directory / finished.data_path(CELL))
    done = CliRunner().invoke(
        main, ["verify", str(path), "--device", "cpu", "--data", data, "--json", *map(str, arguments)]
    )
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)[0]


def test_teachers_trained_from_the_card_give_the_numbers_of_the_workflow(finished, plan, exported, tmp_path):
    """Teacher and networks are draws of their seeds: accuracies agree exactly."""
    found = verify(finished, exported)
    records = read_evaluation(plan.directory / CELL.evaluation_path("convnet"))["records"]
    (check,) = found["accuracies"]
    assert check["found"] == check["stated"]
    assert check["found"]["mean"] == pytest.approx(sum(one.test_accuracy for one in records) / len(records))
    assert list(tmp_path.iterdir()) == [exported]


def test_teachers_are_kept_with_the_networks_where_this_is_asked_for(finished, exported, tmp_path, monkeypatch):
    first = verify(finished, exported, "--cache", tmp_path / "kept")
    monkeypatch.setattr(TRAINED, None)
    again = verify(finished, exported, "--cache", tmp_path / "kept", "--networks", 3)
    assert first["accuracies"][0]["found"]["n"] == 2
    assert again["accuracies"][0]["found"]["n"] == 3


def test_networks_of_another_teacher_are_not_found_in_the_cache(finished, exported, tmp_path):
    kept = tmp_path / "kept"
    verify(finished, exported, "--cache", kept)
    before = set(kept.rglob("*"))
    content = torch.load(exported, weights_only=True)
    content["metadata"]["evaluations"][0]["settings"]["evaluation"]["teachers"]["epochs"] = 2
    torch.save({**content, "metadata": sealed(content["metadata"])}, exported)
    verify(finished, exported, "--cache", kept, "--confidence", 1 - 1e-9)
    added = set(kept.rglob("*.json")) - before
    assert len(list((kept / "teachers").iterdir())) == 2
    assert len([path for path in added if kept / "teachers" not in path.parents]) == 2  # networks


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda card: card["evaluations"][0]["settings"]["evaluation"].pop("teachers"),
            "the settings of its evaluation have no `teachers`",
        ),
        (
            lambda card: card["settings"].pop("network"),
            "they have the network that the set was distilled with, and there is no `settings.network`",
        ),
        (lambda card: card["settings"]["network"].update(width="wide"), "settings.network.width: Input should be"),
    ],
)
def test_what_a_card_does_not_say_of_its_teachers_is_named(finished, plan, tmp_path, change, words):
    found = verify(finished, edited(plan, tmp_path, change), code=1)
    assert found["result"] == "not verified"
    (mismatch,) = found["mismatches"]
    assert mismatch["found"].startswith("convnet: the card does not say which teachers label the batches: ")
    assert words in mismatch["found"]
