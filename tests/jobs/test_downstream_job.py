"""Jobs of downstream tasks: the evaluation's own networks, each trained once; finished repetitions; status and pruning."""

import json
import shutil
from pathlib import Path

import pytest

from bacon.artifacts.downstream_results import read_task_results
from bacon.artifacts.evaluation_records import read_evaluation
from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.downstream import cell_networks
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.downstream_job import run_downstream
from bacon.jobs.evaluation_job import run_evaluation
from bacon.operations.job_status import read_status
from bacon.operations.orphans import orphans
from bacon.plan.plan import Plan
from bacon.reporting.collect.task_results import collect_task, task_summary
from bacon.reporting.tables.downstream_tables import downstream_table
from bacon.runtime.errors import BaconError
from bacon.settings.cells import CACHE, TASK_RECORDS, Cell
from bacon.settings.data import DataSettings

CELL, TASK = Cell("digits", "random", 1, 0), "calibration"


def config(*, seeds=2, **settings):
    return check_config(
        {
            "preset": "smoke",
            "grid": {"methods": ["random"], "ipc": [1], "seeds": 1, "downstream": [TASK]},
            "data": {"digits": {"validation": 0.1}},
            "datasets": {"digits": {"network": {"width": 4, "depth": 2}, "evaluation": {"seeds": seeds, "epochs": 2}}},
            "downstream": {TASK: {"cells": [str(CELL)], **settings}},
            "run": {"device": "cpu"},
        }
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A cell of random images, evaluated and put to the task."""
    folder = tmp_path_factory.mktemp("downstream")
    plan = Plan(config(), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACON_LOCK_DIR", str(folder / "locks"))
        data = {"data": folder / plan.data_path(CELL), "threads": 1}
        fingerprint = plan.data_fingerprint("digits")
        settings = DataSettings(validation=0.1)
        prepare("digits", settings, download_dir=Path(), output=data["data"], fingerprint=fingerprint)
        run_cell(plan, CELL, **data, output=folder / CELL.distilled_path)
        images = folder / CELL.distilled_path
        run_evaluation(plan, CELL, "convnet", **data, images=images, output=folder / CELL.evaluation_path("convnet"))
        run(plan)
    return plan


@pytest.fixture
def folder(measured, tmp_path, monkeypatch):
    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))
    shutil.copytree(measured.directory, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def trained(monkeypatch):
    """Evaluation seeds of the networks that are trained."""
    found, train = [], cell_networks.trained_network
    monkeypatch.setattr(cell_networks, "trained_network", lambda given: found.append(given.seed[1]) or train(given))
    return found


def run(plan):
    images, output = plan.directory / CELL.distilled_path, path(plan)
    data = plan.directory / plan.data_path(CELL)
    run_downstream(plan, TASK, CELL, "convnet", data=data, images=images, output=output, threads=1)
    return read_task_results(output)


def path(plan):
    return plan.directory / CELL.downstream_path(TASK, "convnet")


def state(plan):
    return next(job for job in read_status(plan).jobs if job.stage == TASK)


def numbers(content):
    return [record.measurements for record in content["records"]]


def test_the_networks_are_those_that_the_evaluation_tests(measured):
    evaluated = read_evaluation(measured.directory / CELL.evaluation_path("convnet"))
    expected = [record.test_accuracy for record in evaluated["records"] if record.final]
    found = [one.value for row in numbers(read_task_results(path(measured))) for one in row if one.metric == "accuracy"]
    assert found == expected
    assert state(measured).state == "done"
    assert not (measured.directory / CELL.downstream_running(TASK, "convnet")).exists()


def test_one_more_repetition_is_measured_alone_and_fewer_measure_nothing(folder, trained):
    first = numbers(read_task_results(folder / CELL.downstream_path(TASK, "convnet")))
    more = Plan(config(seeds=3), folder)
    assert state(more).detail == "downstream.seeds: 2 -> 3"
    assert numbers(run(more))[:2] == first
    assert trained == [2]
    assert numbers(run(Plan(config(seeds=1), folder))) == first[:1]
    assert trained == [2]


def test_another_setting_measures_the_networks_that_are_there(folder, trained):
    """They were kept; without them they are trained again, to the same numbers."""
    plan = Plan(config(bins=7), folder)
    assert state(plan).detail == "downstream.bins: 15 -> 7"
    found = numbers(run(plan))
    assert not trained
    for kept in (f"{CACHE}/networks", f"{CACHE}/downstream"):
        shutil.rmtree(folder / kept)
    assert numbers(run(plan)) == found
    assert trained == [0, 1]


def test_damaged_records_and_networks_are_made_again(folder, trained):
    first = numbers(read_task_results(folder / CELL.downstream_path(TASK, "convnet")))
    plan = Plan(config(), folder)
    for damaged in [*(folder / TASK_RECORDS).rglob("*.json"), *(folder / CACHE / "networks").rglob("*.weights")]:
        damaged.write_text("{}")
    assert numbers(run(plan)) == first
    assert trained == [0, 1]


def test_prune_lists_what_no_task_needs(folder):
    plan, without = Plan(config(), folder), Plan(config(cells=["digits/full"]), folder)
    result = CELL.downstream_path(TASK, "convnet")
    assert result in orphans(without)
    assert result not in orphans(plan)
    records = {one.name for one in (folder / TASK_RECORDS).iterdir()}
    assert records == {plan.tasks.result_fingerprint(TASK, CELL, "convnet")}
    assert Path(TASK_RECORDS) / records.pop() in orphans(without, records=True)
    assert not any(str(one).startswith(CACHE) for one in orphans(plan, records=True))


def test_tables_hold_what_was_measured_and_refuse_what_is_out_of_date(measured, folder):
    table = collect_task(measured, TASK)
    assert len(table) == 2 * 8
    assert set(table["condition"]) == {"", "scaled"}
    summary = task_summary(measured, TASK)
    accuracies = table.loc[table["metric"] == "accuracy", "value"]
    row = summary[summary["metric"] == "accuracy"].iloc[0]
    assert row["mean"] == pytest.approx(accuracies.mean())
    assert (row["n"], row["distillation_seeds"]) == (2, 1)
    (grid, _), *_ = downstream_table(measured, TASK).grids
    assert grid.columns[:4] == ("Method", "IPC", "Accuracy (%)", "ECE (%)")
    assert grid.rows[0][:3] == ("Random", "1", f"{100 * accuracies.mean():.1f}")
    with pytest.raises(BaconError, match="out of date"):
        collect_task(Plan(config(bins=7), folder), TASK)
    content = json.loads((folder / CELL.downstream_path(TASK, "convnet")).read_text())
    assert content["settings"]["downstream"] == {"bins": 15, "seeds": 2}
