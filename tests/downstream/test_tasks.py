"""What every downstream task has, which cells it is run for, and what makes its results stale: of all tasks that there are."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from bacon.config.loading import check_config
from bacon.config.unreached import unreached_values
from bacon.downstream.registry import TASKS
from bacon.plan.plan import Plan
from bacon.plan.stages import STAGES, plan_artifacts, stage_of
from bacon.plan.task_stages import place_pattern
from bacon.reporting.figures.task_figures import TASK_FIGURES
from bacon.reporting.tables.names import table_names
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

GRID = {"datasets": ["digits"], "methods": ["random", "dm"], "ipc": [1, 2], "seeds": 1, "networks": ["convnet", "mlp"]}
DOCS = (Path(__file__).parents[2] / "docs/downstream.md").read_text(encoding="utf-8")
each_task = pytest.mark.parametrize("name", TASKS)


def plan_of(tasks=tuple(TASKS), grid=GRID, **changes):
    return Plan(check_config({"preset": "smoke", "grid": {**grid, "downstream": list(tasks)}, **changes}))


def fingerprints(plan):
    return {(one.stage, one.name, one.network): one.fingerprint for one in plan_artifacts(plan)}


def changed(before, after):
    """Stages of the artifacts that differ."""
    return {key[0] for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


@each_task
def test_a_record_is_whole(name):
    task, plan = TASKS[name], plan_of([name])
    settings = plan.tasks.settings(name)
    assert task.name == name
    assert name.isidentifier()
    assert name == name.lower()
    assert task.settings_model.model_validate(settings.model_dump(mode="json")) == settings
    titles = [column.title for column in task.columns(settings)]
    assert len(set(titles)) == len(titles) > 0
    assert all(task.notes(settings))
    assert find_spec(task.algorithm.partition(":")[0]) is not None
    assert (name in TASK_FIGURES) == bool(task.figure)
    assert f"downstream_{name}" in table_names(plan)
    assert f"downstream_{name}" not in table_names(plan_of([]))
    assert f"`{name}`" in DOCS
    for field, model in task.settings_model.model_fields.items():
        assert model.description, f"{name}.{field}"


@each_task
def test_seeds_and_cells_say_which_results_there_are_and_not_what_they_are(name):
    whole, some = plan_of([name]), plan_of([name], downstream={name: {"cells": ["digits/dm/ipc2/*"], "seeds": 1}})
    cell = Cell("digits", "dm", 2, 0)
    network = whole.tasks.networks(name)[0]
    assert some.tasks.result_fingerprint(name, cell, network) == whole.tasks.result_fingerprint(name, cell, network)
    assert some.tasks.cells(name) == (cell,)
    fulls = int(TASKS[name].has_full)
    assert len(whole.tasks.places(name)) == (4 + fulls) * (2 if TASKS[name].has_networks else 1)


@each_task
def test_a_stage_follows_its_task(name):
    plan, stage = plan_of([name]), STAGES[name]
    for artifact in stage.artifacts(plan):
        found = {"place": "/".join(filter(None, (str(artifact.cell), artifact.network)))}
        assert re.fullmatch(place_pattern(TASKS[name]), found["place"])
        assert stage.rules[name].format(**found) == str(artifact.path)
        assert stage.artifact(plan, found) == artifact
        assert str(stage.log(artifact)) == str(artifact.path).replace("results", "results/logs", 1).replace(
            ".json", ".log"
        )
        assert stage.seconds(plan, artifact) > 0
        assert stage.heartbeat(artifact).parent != artifact.path.parent
    assert {one.stage for one in plan_artifacts(plan_of([]))} == {"data", "train", "distill", "evaluate"}


def test_every_artifact_stands_after_what_it_is_made_from():
    seen, plan = set(), plan_of()
    for artifact in plan_artifacts(plan):
        inputs = {one.path for one in stage_of(artifact).inputs(plan, artifact)}
        assert inputs <= seen, artifact
        seen.add(artifact.path)


def test_a_setting_of_a_task_makes_its_own_results_stale_alone():
    before = fingerprints(plan_of())
    assert changed(before, fingerprints(plan_of(downstream={"calibration": {"bins": 7}}))) == {"calibration"}
    assert changed(before, fingerprints(plan_of(downstream={"robustness": {"steps": 3}}))) == {"robustness"}
    # The order of keys, and a default that is written out, change nothing.
    assert fingerprints(plan_of(downstream={"calibration": {"bins": 15}})) == before


def test_another_evaluation_makes_evaluations_and_tasks_stale_and_no_set():
    after = fingerprints(plan_of(datasets={"digits": {"evaluation": {"momentum": 0.5}}}))
    assert changed(fingerprints(plan_of()), after) >= {"evaluate", *TASKS}
    assert "distill" not in changed(fingerprints(plan_of()), after)


def test_one_more_evaluation_seed_keeps_the_results_of_the_others():
    few, more = (plan_of(datasets={"digits": {"evaluation": {"seeds": seeds}}}) for seeds in (2, 3))
    cell = Cell("digits", "dm", 1, 0)
    assert few.tasks.fingerprint("calibration", cell, "mlp") != more.tasks.fingerprint("calibration", cell, "mlp")
    results = [one.tasks.result_fingerprint("calibration", cell, "mlp") for one in (few, more)]
    assert results[0] == results[1]


def test_tables_depend_on_the_tasks_of_the_grid_alone():
    modules = ("bacon.reporting.tables.make_tables",)
    plain, other = plan_of([]), plan_of([], downstream={"calibration": {"bins": 7}})
    assert plain.aggregate_fingerprint(modules) == other.aggregate_fingerprint(modules)
    assert plan_of(["calibration"]).aggregate_fingerprint(modules) != plain.aggregate_fingerprint(modules)


def test_under_several_protocols_tasks_follow_the_headline():
    several = plan_of(["calibration"], grid=GRID | {"protocols": ["p-dc", "p-idc"]})
    alone = plan_of(["calibration"], protocol="p-dc")
    cell = Cell("digits", "dm", 1, 0)
    wanted = alone.tasks.fingerprint("calibration", cell, "mlp")
    assert {one.tasks.fingerprint("calibration", cell, "mlp") for one in several.protocols.values()} == {wanted}


def test_settings_of_a_task_that_is_not_run_are_named():
    plan = plan_of(["robustness"], downstream={"calibration": {"bins": 7}, "robustness": {"steps": 3}})
    assert unreached_values(plan.config) == (
        "downstream.calibration is used for no cell: grid.downstream lists robustness, not calibration",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"grid": GRID | {"downstream": ["calibrate"]}},
            r"grid\.downstream = .calibrate. is unknown; did you mean",
        ),
        ({"grid": GRID | {"downstream": ["calibration"] * 2}}, r"grid\.downstream: 'calibration' is listed twice"),
        (
            {"downstream": {"calibration": {"bin": 3}}},
            r"downstream\.calibration\.bin = 3: unknown key; did you mean 'bins'",
        ),
        ({"downstream": {"calibration": {"bins": 1}}}, r"downstream\.calibration\.bins = 1: must be"),
        (
            {"downstream": {"calibration": {"cells": ["digits/idm/*"]}}},
            r"downstream\.calibration\.cells: the pattern 'digits/idm",
        ),
        (
            {"downstream": {"calibration": {"networks": ["lenet"]}}},
            r"downstream\.calibration\.networks = 'lenet' is unknown",
        ),
        (
            {"downstream": {"robustness": {"autoattack_epsilons": [0.1, 0.1]}}},
            r"downstream\.robustness\.autoattack_epsilons = .*0\.1, 0\.1: list each value once",
        ),
        (
            {"downstream": {"corruptions": {"severities": [1, 1]}}},
            r"downstream\.corruptions\.severities = .*list each value once",
        ),
        (
            {"downstream": {"architecture_search": {"widths": [32, 32]}}},
            r"downstream\.architecture_search\.widths = .*list each value once",
        ),
        ({"downstream": {"robustness": {"epsilons": [2]}}}, r"downstream\.robustness\.epsilons\.0 = 2: must be"),
        (
            {"grid": GRID | {"downstream": ["calibration"], "networks": ["convnet"]}, "protocol": "p-kip"},
            r"calibration tests trained networks, and digits/\S+ is evaluated by regression",
        ),
    ],
)
def test_what_cannot_be_done_is_said(changes, words):
    with pytest.raises(BaconError, match=words):
        check_config({"preset": "smoke", "grid": GRID, **changes})
