"""What a distilled set costs besides its own distillation, with hand values."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from bacon.artifacts.trained_runs import RunEntry, training_costs
from bacon.reporting.collect.costs import evaluation_costs, teacher_costs, with_prior
from bacon.reporting.collect.distilled_files import collect_cost
from bacon.reporting.collect.evaluations import collect_accuracy, collect_networks
from bacon.reporting.page.artifact_facts import energy_text
from bacon.reporting.tables.cost_tables import (
    cost_grids,
    cost_table,
    energy_note,
    evaluation_notes,
    summarise_cost,
    three_digits,
    whole_cost_grids,
    with_evaluation,
)
from bacon.reporting.tables.markup import MISSING
from tests.reporting.fakes import distilled, evaluation, record

IMAGES = np.zeros((10, 1, 4, 4))
EXPERTS = {"experts": {"seconds": [100.0, 300.0], "joules": [1000.0, 3000.0], "shares": [1.0, 0.95]}}


def costs_of(table: pd.DataFrame, method: str, seed: int = 0) -> dict:
    (row,) = table[(table["method"] == method) & (table["seed"] == seed)].to_dict("records")
    return row


@pytest.fixture
def three(tmp_path):
    """BACON needs both experts, DM the first alone, random none; every method has one set."""
    first = {"experts": {name: values[:1] for name, values in EXPERTS["experts"].items()}}
    known = {"energy_joules": 50.0, "energy_share": 0.97, "energy_source": "NVML"}
    return [
        distilled(tmp_path, IMAGES, method="random", fingerprint="fresh", wall_seconds=0.5),
        distilled(tmp_path, IMAGES, method="dm", training_costs=json.dumps(first), **known),
        distilled(tmp_path, IMAGES, method="bacon", training_costs=json.dumps(EXPERTS), **known),
    ]


def test_networks_are_counted_alone_and_shared():
    raw = [
        {"dataset": "digits", "method": name, "ipc": 1, "seed": 0, "fingerprint": name, "wall_seconds": 20.0,
         "energy_joules": 50.0, "energy_share": 0.97, "trainings": trainings}
        for name, trainings in (
            ("random", "{}"),
            ("dm", json.dumps({"experts": {key: values[:1] for key, values in EXPERTS["experts"].items()}})),
            ("bacon", json.dumps(EXPERTS)),
        )
    ]  # fmt: skip
    table = with_prior(pd.DataFrame(raw))
    random, dm, bacon = (costs_of(table, name) for name in ("random", "dm", "bacon"))
    assert (random["training_seconds_alone"], random["seconds_alone"], random["joules_alone"]) == (0.0, 20.0, 50.0)
    # Both use the first run, of 100 s; BACON alone the second, of 300 s.
    assert (dm["training_seconds_alone"], dm["training_seconds_shared"]) == (100.0, 50.0)
    assert (bacon["training_seconds_alone"], bacon["training_seconds_shared"]) == (400.0, 350.0)
    assert (bacon["seconds_alone"], bacon["seconds_shared"]) == (420.0, 370.0)
    assert (bacon["joules_alone"], bacon["joules_shared"]) == (4050.0, 3550.0)
    # Nothing is lost: what is shared adds up to what was trained.
    assert table["training_seconds_shared"].sum() == 400.0
    assert [random["energy_least_share"], bacon["energy_least_share"]] == [0.97, 0.95]
    assert "trainings" not in table


def test_teachers_that_a_set_was_distilled_with_are_counted_once(three):
    teachers = {("digits", "bacon", 1, 0): EXPERTS, ("digits", "random", 1, 0): EXPERTS}
    table = collect_cost(three, teachers)
    random, bacon = costs_of(table, "random"), costs_of(table, "bacon")
    assert (bacon["training_seconds_alone"], bacon["teacher_seconds_alone"]) == (400.0, 0.0)
    assert (random["training_seconds_alone"], random["teacher_seconds_alone"]) == (0.0, 400.0)
    assert random["seconds_alone"] == 400.5


def test_what_is_unknown_of_a_part_is_unknown_of_the_whole(tmp_path):
    unknown = {"experts": {"seconds": [100.0], "joules": [None], "shares": [None]}}
    known = {"energy_joules": 50.0, "energy_share": 0.97, "energy_source": "NVML"}
    row = costs_of(collect_cost([distilled(tmp_path, IMAGES, training_costs=json.dumps(unknown), **known)]), "bacon")
    assert row["energy_joules"] == 50.0
    assert np.isnan([row["joules_alone"], row["joules_shared"], row["energy_least_share"]]).all()
    assert row["seconds_alone"] == 120.0


def test_unknown_energy_of_one_seed_is_no_mean_of_the_others(tmp_path):
    known = {"energy_joules": 50.0, "energy_share": 0.97, "energy_source": "NVML"}
    table = summarise_cost(collect_cost([distilled(tmp_path, IMAGES, **known), distilled(tmp_path, IMAGES, seed=1)]))
    assert table["energy_joules_mean"].isna().all()
    assert table["energy_least_share"].isna().all()
    assert table["energy_source"].tolist() == ["NVML"]


def test_the_cost_table_shows_energy_with_its_mark(tmp_path):
    own = {"energy_joules": 12_000.0, "energy_share": 0.97, "energy_source": "NVML"}
    made = [
        distilled(tmp_path, IMAGES, method="random"),
        distilled(tmp_path, IMAGES, method="dm", **own),
        distilled(tmp_path, IMAGES, method="idm", **{**own, "energy_share": 0.4}),
        distilled(tmp_path, IMAGES, method="bacon", energy_joules=1.5, energy_source="RAPL"),
    ]
    cost = collect_cost(made)
    (grid,) = cost_grids(summarise_cost(cost))
    place = grid.columns.index("Energy (kJ)")
    assert [row[place] for row in grid.rows] == [MISSING, "12.0", "12.0†", "0.00†"]
    note = energy_note(cost)
    assert "NVML, RAPL" in note
    assert "90 %" in note
    assert "did not tell" in note
    nothing = collect_cost(made[:1])
    (plain,) = cost_grids(summarise_cost(nothing))
    assert "Energy (kJ)" not in plain.columns
    assert "unknown" in energy_note(nothing)


def evaluated(tmp_path, method, **content):
    one = evaluation(tmp_path, [record(200, seed, 0.5) for seed in (0, 1)], method=method, ipc=1)
    known = json.loads(one.path.read_text())
    one.path.write_text(json.dumps(known | content))
    return one


def test_evaluation_costs_and_teachers(tmp_path):
    work = {"steps": {"dsa": 100}, "images_seen": {"dsa": 1000}}
    made = [
        evaluated(tmp_path, "random", **work),
        evaluated(tmp_path, "bacon", **work, teacher_bytes=2048, view_label_bytes=9, training_costs=EXPERTS),
    ]
    accuracy = collect_accuracy(made)
    teachers = teacher_costs(made, accuracy)
    assert teachers == {("digits", "bacon", 1, 0): EXPERTS}
    table = evaluation_costs(accuracy).set_index("method")
    assert table.loc["bacon", ["evaluation_seconds", "evaluation_steps", "evaluation_images", "teacher_bytes"]].tolist() == [
        1.5, 100, 1000, 2048,
    ]  # fmt: skip
    cost = collect_cost([distilled(tmp_path, IMAGES, method=name) for name in ("random", "bacon")], teachers)
    frame = with_evaluation(summarise_cost(cost), accuracy, "convnet")
    (grid,) = whole_cost_grids(frame)
    assert grid.rows[1] == ("BACON", "1", "400", "400", "420", "2.00", "1.50", "100", "1000")
    table = cost_table(cost, accuracy, "convnet", ["More."])
    assert table.notes[-1] == "More."
    assert "as if for this set alone" in table.caption
    assert "Teachers: their weights" in table.caption
    untaught = frame.assign(teacher_bytes=0)  # and with it no such column
    assert not any("Teachers" in note for note in evaluation_notes(untaught, "convnet"))


def test_evaluation_that_does_not_say_its_steps_leaves_them_out(tmp_path):
    networks = collect_networks([evaluated(tmp_path, "bacon")])
    assert networks["evaluation_steps"].isna().all()
    cost = collect_cost([distilled(tmp_path, IMAGES)])
    (grid,) = whole_cost_grids(with_evaluation(summarise_cost(cost), networks, "convnet"))
    assert grid.columns == ("Method", "IPC", "Evaluation (s)", "Steps", "Images")
    assert grid.rows == (("BACON", "1", "1.50", MISSING, MISSING),)


def test_steps_of_several_augmentations_add_up(tmp_path):
    records = [record(200, 0, 0.5) | {"augmentation": name} for name in ("dsa", "none")]
    one = evaluation(tmp_path, records, ipc=1, settings={"augmentations": ["dsa", "none"]})
    known = json.loads(one.path.read_text())
    known["settings"]["evaluation"]["seeds"] = 1
    known |= {"steps": {"dsa": 100, "none": 30}, "images_seen": {"dsa": 1000, "none": 300}}
    one.path.write_text(json.dumps(known))
    accuracy = collect_accuracy([one])
    assert accuracy[["evaluation_steps", "evaluation_images", "wall_seconds"]].to_numpy().tolist() == [[130, 1300, 3.0]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.0, "1.00"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (1234.5, "1234"),
        (float("nan"), MISSING),
    ],
)
def test_three_significant_digits(value, text):
    assert three_digits(value) == text


def test_energy_of_a_set_in_words():
    known = {"energy_joules": 1_234_000.0, "energy_source": "NVML"}
    whole = "1234 kJ (NVML), of the whole device; "
    assert energy_text(known | {"energy_share": 0.95}) == f"{whole}the job had 95 % of the device's use"
    assert energy_text(known) == f"{whole}the device did not say who else used it"
    assert energy_text({}) == "unknown: the device did not tell it"


class _Runs(list):
    """Entries of a training, as ``TrainedRuns`` gives them."""

    fingerprint = "print"

    def entry(self, run):
        return self[run]


def test_a_training_of_two_needs_is_in_the_files_once():
    entries = [
        RunEntry(
            run=run,
            file="",
            bytes=0,
            sha256="",
            wall_seconds=10.0 + run,
            train_loss=0.1,
            train_accuracy=0.9,
            joules=joules,
        )
        for run, joules in enumerate((5.0, None))
    ]
    costs = training_costs([_Runs(entries), _Runs(entries[:1])])
    assert costs == {"print": {"seconds": [10.0, 11.0], "joules": [5.0, None], "shares": [None, None]}}
