"""A grid with whitened and plain cells: what is prepared and trained, from which form each cell is made, and what is stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from bacon.config.loading import check_config
from bacon.operations.products import shown_products
from bacon.plan import cost, stages
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell

PUBLISHED = Path(__file__).parents[2] / "resources" / "published_results.csv"
ON = {"preprocessing": {"zca": True}}
MTT, DM, FULL = Cell("digits", "mtt", 1, 0), Cell("digits", "dm", 1, 0), Cell("digits", "full")


def plan(methods=("dm", "mtt"), **keys) -> Plan:
    grid = {"datasets": ["digits"], "methods": list(methods), "ipc": [1], "seeds": 1} | keys.pop("grid", {})
    return Plan(check_config({"preset": "smoke", "grid": grid, **keys}))


def paths(found, stage):
    return [str(one.path) for one in found if one.stage == stage]


def inputs(made: Plan, stage: str, cell: Cell) -> list[str]:
    (artifact,) = [one for one in stages.STAGES[stage].artifacts(made) if one.cell == cell]
    return [str(one.path) for one in stages.STAGES[stage].inputs(made, artifact) if one.stage in ("data", "train")]


def test_a_second_file_is_prepared_only_where_a_cell_needs_it():
    assert paths(stages.plan_artifacts(plan()), "data") == ["results/data/digits.h5"]
    both = ["results/data/digits.h5", "results/data/digits-zca.h5"]
    assert paths(stages.plan_artifacts(plan(methods=("dm", "mtt"), overrides={"digits/mtt": ON})), "data") == both
    whole = plan(data={"digits": {"zca": True}}, methods=("dm", "mtt"), overrides={"digits/mtt": ON})
    assert paths(stages.plan_artifacts(whole), "data") == both[:1]


def test_a_cell_is_made_from_its_own_form_and_from_networks_trained_on_it():
    made = plan(overrides={"digits/mtt": ON})
    data, experts = inputs(made, "distill", MTT)
    assert data == "results/data/digits-zca.h5"
    assert experts.startswith("results/training/digits-zca/")
    assert inputs(made, "evaluate", MTT) == ["results/data/digits-zca.h5"]
    assert inputs(made, "distill", DM) == inputs(made, "evaluate", DM) == ["results/data/digits.h5"]
    data, networks = inputs(made, "evaluate", FULL)
    assert (data, networks.split("/")[2]) == ("results/data/digits.h5", "digits")


def test_networks_of_the_two_forms_are_not_shared():
    made = plan(methods=("mtt", "white"), variants={"white": {"method": "mtt", **ON}})
    plain, white = (made.needs(Cell("digits", name, 1, 0))[0] for name in ("mtt", "white"))
    assert plain.key == white.key
    assert {("digits", plain.key), ("digits-zca", plain.key)} < set(made.trainings)
    one, other = (made.training(name, plain.key).fingerprint for name in ("digits", "digits-zca"))
    assert one != other
    assert made.same_set(Cell("digits", "white", 1, 0)) is None


def test_only_the_cells_that_are_touched_are_stale():
    before, after = plan(), plan(overrides={"digits/mtt": ON})
    for cell in (DM, FULL):
        assert before.evaluation_fingerprint(cell, "convnet") == after.evaluation_fingerprint(cell, "convnet")
    assert before.distilled_fingerprint(DM) == after.distilled_fingerprint(DM)
    assert before.data_fingerprint("digits") == after.data_fingerprint("digits")
    assert before.distilled_fingerprint(MTT) != after.distilled_fingerprint(MTT)
    assert before.evaluation_fingerprint(MTT, "convnet") != after.evaluation_fingerprint(MTT, "convnet")


def test_a_whitened_cell_is_what_it_is_of_a_data_set_that_is_whitened():
    single, whole = plan(overrides={"digits/mtt": ON}), plan(data={"digits": {"zca": True}})
    assert single.data_fingerprint("digits-zca") == whole.data_fingerprint("digits")
    assert single.distilled_fingerprint(MTT) == whole.distilled_fingerprint(MTT)
    assert single.record_fingerprint(MTT, "convnet") == whole.record_fingerprint(MTT, "convnet")


def test_a_plain_cell_of_a_whitened_data_set():
    made = plan(data={"digits": {"zca": True}}, overrides={"digits/dm": {"preprocessing": {"zca": False}}})
    assert inputs(made, "distill", DM) == ["results/data/digits-plain.h5"]
    assert made.data_fingerprint("digits-plain") == plan().data_fingerprint("digits")
    assert not made.is_whitened(DM)
    assert made.is_whitened(MTT)


def test_a_cell_outside_the_grid_is_of_its_own_form_too():
    """No cell of the grid uses that form, so its name alone says what it is."""
    whitened = [{"dataset": "digits", "ipc": 1, "methods": ["mtt"], **ON}]
    outside, inside = plan(methods=("dm",), cells=whitened), plan(cells=whitened)
    assert "digits-zca" not in outside.prepared_sets
    assert outside.distilled_fingerprint(MTT) == inside.distilled_fingerprint(MTT)
    assert cost.data_size(outside, "digits-zca") == cost.data_size(inside, "digits")
    (need,) = outside.needs(MTT)
    assert outside.training_of("digits-zca", need).fingerprint == inside.training("digits-zca", need.key).fingerprint


def test_a_data_set_that_is_called_as_a_form_would_be_is_itself(tmp_path):
    named = {"digits-zca": {"format": "npz", "path": str(tmp_path / "a.npz")}}
    made = plan(methods=("dm",), data=named, grid={"datasets": ["digits"]})
    assert made.prepared_set("digits-zca").dataset == "digits-zca"
    assert not made.prepared_set("digits-zca").settings.zca
    assert made.prepared_set("digits-plain").dataset == "digits-plain", "digits is plain as it is"


def test_a_whitened_full_training_set_is_what_it_is_of_a_data_set_that_is_whitened():
    grid = {"downstream": ["calibration", "architecture_search"]}
    single, whole = (
        plan(methods=("dm",), grid=grid, **keys)
        for keys in ({"overrides": {"digits/full": ON}}, {"data": {"digits": {"zca": True}}})
    )
    assert list(single.prepared_sets) == ["digits", "digits-zca"], "no cell that is distilled uses the second"
    assert single.evaluation_fingerprint(FULL, "convnet") == whole.evaluation_fingerprint(FULL, "convnet")
    for task, network in (("calibration", "convnet"), ("architecture_search", "")):
        assert single.tasks.fingerprint(task, FULL, network) == whole.tasks.fingerprint(task, FULL, network)


@pytest.mark.parametrize("whitened", ["digits/*", "digits/full", "digits/dm/*"])
def test_whatever_an_artifact_is_made_from_the_plan_makes(whitened):
    grid = {"protocols": ["p-dsa", "p-sre2l"], "downstream": ["calibration", "architecture_search", "membership"]}
    made = plan(methods=("dm", "mtt"), overrides={whitened: ON}, grid=grid)
    known = {one.path: one.fingerprint for one in stages.plan_artifacts(made)}
    for one in stages.plan_artifacts(made):
        for needed in stages.stage_of(one).inputs(made, one):
            assert known[needed.path] == needed.fingerprint


def test_teachers_tasks_and_further_protocols_follow_the_cell():
    made = plan(
        methods=("dm",),
        overrides={"digits/dm": ON},
        grid={"protocols": ["p-dsa", "p-sre2l"], "downstream": ["calibration"]},
    )
    keys = [name for name, _ in made.trainings]
    assert keys.count("digits-zca") == 1, "the teachers of p-sre2l"
    needed = inputs(made, "evaluate", DM)
    assert needed[0] == "results/data/digits-zca.h5"
    assert needed[1].startswith("results/training/digits-zca/")
    assert inputs(made, "calibration", DM)[0] == "results/data/digits-zca.h5"
    assert inputs(made, "calibration", FULL)[0] == "results/data/digits.h5"


def test_the_picture_of_a_cell_is_made_from_its_form():
    made = plan(overrides={"digits/mtt": ON})
    found = {one.name: one.inputs[1] for one in shown_products(made, PUBLISHED) if one.name.startswith("images ")}
    assert found == {
        "images digits dm ipc1": "results/data/digits.h5",
        "images digits mtt ipc1": "results/data/digits-zca.h5",
    }


def test_sizes_and_costs_are_those_of_the_data_set():
    made = plan(overrides={"digits/mtt": ON})
    assert cost.data_size(made, "digits-zca") == cost.data_size(made, "digits")
    assert cost.whitening_seconds(made, "digits") == 0
    assert cost.whitening_seconds(made, "digits-zca") > 0
    assert cost.preparing_mb(made, "digits-zca") > cost.preparing_mb(made, "digits") == cost.PREPARING_MB
    large = Plan(
        check_config({"preset": "paper", "grid": {"datasets": ["tinyimagenet"], "methods": ["datm"], "ipc": [1]}})
    )
    matrices = 6 * 8 * 12288**2 / 1e6
    assert cost.preparing_mb(large, "tinyimagenet-zca") == pytest.approx(cost.PREPARING_MB + matrices, abs=1)
    # A covariance of 100,000 images, and 12 operations per cube of the dimension for eigenvectors and matrix, at 1e10 a second.
    whole = 2e5 * 12288**2 + 12 * 12288**3
    assert cost.whitening_seconds(large, "tinyimagenet-zca") == pytest.approx(whole / 1e10)
