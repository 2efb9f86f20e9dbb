"""A cell evaluated under several protocols by one job: what is kept, what is trained again, and what the commands say of it."""

import json
import shutil
from pathlib import Path

import pytest

from bacon.artifacts.evaluation_records import read_evaluation
from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.evaluation import trained_networks
from bacon.interchange.export_cell import _evaluations
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.evaluation_job import run_evaluation, run_evaluations
from bacon.operations.job_status import read_status, training_rows
from bacon.operations.orphans import orphans
from bacon.plan.inventory import Inventory
from bacon.plan.plan import Plan
from bacon.plan.stages import evaluations_artifact
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.data import DataSettings
from bacon.training.loop import DivergedError

CELL = Cell("digits", "random", 1, 0)


def config(*protocols, epochs=2, **changes):
    return check_config(
        {
            "preset": "smoke",
            "grid": {"methods": ["random"], "ipc": [1], "seeds": 1, "protocols": list(protocols)},
            "protocols": {"mine": {"base": "p-ncfm", "title": "Mine", "evaluation": {"epochs": epochs, "seeds": 1}}},
            "datasets": {"digits": {"network": {"width": 4, "depth": 2}}},
            "run": {"device": "cpu"},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A cell of random images under two protocols."""
    folder = tmp_path_factory.mktemp("protocols")
    plan = Plan(config("p-dc", "mine"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACON_LOCK_DIR", str(folder / "locks"))
        fingerprint = plan.data_fingerprint("digits")
        prepare(
            "digits",
            DataSettings(),
            download_dir=Path(),
            output=folder / plan.data_path(CELL),
            fingerprint=fingerprint,
        )
        run_cell(plan, CELL, data=folder / plan.data_path(CELL), output=folder / CELL.distilled_path, threads=1)
        evaluate(plan)
    return plan


@pytest.fixture
def folder(evaluated, tmp_path, monkeypatch):
    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))
    shutil.copytree(evaluated.directory, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def trained(monkeypatch):
    """Epochs of each network that is trained."""
    found, train = [], trained_networks.train_and_test

    def counted(given, *arguments, **options):
        found.append(given.evaluation.epochs)
        return train(given, *arguments, **options)

    monkeypatch.setattr(trained_networks, "train_and_test", counted)
    return found


def evaluate(plan):
    paths = {"data": plan.data_path(CELL), "images": CELL.distilled_path, "output": CELL.evaluations_path}
    run_evaluations(plan, CELL, **{name: plan.directory / path for name, path in paths.items()}, threads=1)


def of_cell(plan):
    return next(job for job in read_status(plan).jobs if (job.stage, job.name) == ("evaluate", str(CELL)))


def test_one_job_writes_a_file_for_each_protocol_and_their_index(evaluated):
    files = {
        "p-dc": evaluated.directory / "results/evaluation/digits/random/ipc1/seed0/convnet.json",
        "mine": evaluated.directory / "results/evaluation/digits/random/ipc1/seed0/mine/convnet.json",
    }
    for protocol, path in files.items():
        content = read_evaluation(path)
        assert content["protocol"] == protocol
        assert content["fingerprint"] == evaluated.protocols[protocol].evaluation_fingerprint(CELL, "convnet")
    assert [len(read_evaluation(path)["records"]) for path in files.values()] == [2, 1]
    index = json.loads((evaluated.directory / CELL.evaluations_path).read_text())
    assert [one["file"] for one in index["evaluations"]] == ["seed0/convnet.json", "seed0/mine/convnet.json"]
    assert of_cell(evaluated).state == "done"
    assert not (evaluated.directory / CELL.running_path("evaluate")).exists()


def test_a_protocol_more_trains_its_own_networks_alone(folder, trained):
    more = Plan(config("p-dc", "mine", "p-idc"), folder)
    assert of_cell(more).detail == "p-idc: not evaluated yet"
    evaluate(more)
    assert trained == [3, 3]
    assert of_cell(more).state == "done"
    del trained[:]
    # One fewer leaves a file that nothing needs; no network is trained for the smaller index.
    fewer = Plan(config("p-dc", "p-idc"), folder)
    assert of_cell(fewer).detail == "a protocol is no longer in the grid"
    evaluate(fewer)
    assert not trained
    left = CELL.evaluations_path.parent / "seed0/mine/convnet.json"
    assert orphans(fewer) == [left]
    assert left not in orphans(more)


def test_another_setting_of_one_protocol_trains_that_one_again(folder, trained):
    changed = Plan(config("p-dc", "mine", epochs=5), folder)
    assert of_cell(changed).detail == "mine: evaluation.epochs: 2 -> 5"
    assert of_cell(changed).state == "stale"
    kept = folder / "results/evaluation/digits/random/ipc1/seed0/convnet.json"
    time = kept.stat().st_mtime_ns
    evaluate(changed)
    assert trained == [5]
    assert kept.stat().st_mtime_ns == time


def test_without_the_cache_what_is_there_is_kept(folder, trained):
    shutil.rmtree(folder / "results/.cache/evaluation")
    evaluate(Plan(config("p-dc", "mine", "p-cafe"), folder))
    assert trained == [3, 3], "right files were made again"


def test_results_of_one_protocol_stay_valid_beside_others(folder, trained):
    alone = Plan(config("p-dc"), folder)
    (folder / CELL.evaluations_path).unlink()
    path = folder / CELL.evaluation_path("convnet")
    before = read_evaluation(path)["fingerprint"]
    assert before == alone.evaluation_fingerprint(CELL, "convnet"), "another fingerprint beside a second protocol"
    assert not alone.has_protocols
    paths = {"data": folder / alone.data_path(CELL), "images": folder / CELL.distilled_path, "output": path}
    run_evaluation(alone, CELL, "convnet", **paths, threads=1)
    evaluate(Plan(config("p-dc", "mine"), folder))
    assert not trained
    assert read_evaluation(path)["fingerprint"] == before


def test_a_lost_or_damaged_file_makes_the_index_stale(folder):
    plan = Plan(config("p-dc", "mine"), folder)
    artifact = evaluations_artifact(plan, CELL)
    assert Inventory(folder).is_right(artifact)
    (folder / "results/evaluation/digits/random/ipc1/seed0/mine/convnet.json").unlink()
    assert not Inventory(folder).is_right(artifact)
    assert of_cell(plan).state == "stale"


def test_a_protocol_that_fails_leaves_the_others_their_results(folder, monkeypatch):
    train = trained_networks.train_and_test

    def fails(given, *arguments, **options):
        if given.evaluation.epochs == 7:
            raise DivergedError("training diverged")
        return train(given, *arguments, **options)

    monkeypatch.setattr(trained_networks, "train_and_test", fails)
    # `mine` comes first and fails; the last is evaluated all the same.
    plan = Plan(config("mine", "p-cafe", epochs=7), folder)
    with pytest.raises(BaconError, match=r"^protocol mine, convnet: training diverged$"):
        evaluate(plan)
    made = read_evaluation(folder / plan.protocols["p-cafe"].evaluation_path(CELL, "convnet"))
    assert made["fingerprint"] == plan.protocols["p-cafe"].evaluation_fingerprint(CELL, "convnet")
    assert of_cell(plan).state != "done"


def test_commands_that_name_cells_know_every_protocol(evaluated):
    said = list(_evaluations(evaluated, CELL))
    assert [one["protocol_name"] for one in said] == ["P-DC", "Mine"]
    assert [one["n"] for one in said] == [2, 1]
    assert orphans(evaluated, records=True) == []
    # The networks of the full data set, under each protocol.
    rows = training_rows(evaluated, Cell("digits", "full"))
    assert len(rows) == len({row[0] for row in rows}) == 2
