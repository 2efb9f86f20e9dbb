"""``predictions``: seconds on an H200 from operations, hand-computed; ``reproduce`` takes them on that GPU alone."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bacon.config.loading import check_config
from bacon.methods.base import CellSize, Passes, Work
from bacon.methods.registry import METHODS
from bacon.plan import cost
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell
from benchmarks.__main__ import main
from benchmarks.reproduction import prediction
from benchmarks.reproduction.prediction import SPEEDS, Speed


def plan_of(method, ipc):
    grid = {"datasets": ["cifar10"], "methods": [method], "ipc": [ipc], "seeds": [0]}
    return Plan(check_config({"preset": "paper", "grid": grid}, source="test"), Path())


def test_a_pass_takes_its_operations_and_its_launches():
    speed = Speed(rates={"training": 1e12}, launch={"training": 1e-3})
    image = cost.Operations(forward=1e9, training=2e9, image_gradient=0.0, matching_gradient=0.0)
    passes = Passes(kind="training", images=100, count=3)
    assert speed.seconds(passes, image, layers=4) == pytest.approx(3 * (100 * 2e9 / 1e12 + 4e-3))


def test_passes_that_are_made_ahead_fill_the_device():
    speed = Speed(rates={"training": 1e12, "forward": 1e12}, launch={"training": 1e-3, "forward": 1e-3}, shared=0.25)
    image = cost.Operations(forward=1e9, training=2e9, image_gradient=0.0, matching_gradient=0.0)
    waiting = Passes(kind="forward", images=100, count=3)  # 3 * (0.1 + 0.004) s with four layers
    many, few = (Passes(kind="training", images=1, count=count, ahead=True) for count in (100, 1))
    assert speed.iteration(Work(iterations=7, passes=(waiting, many)), image, 4) == pytest.approx(0.303 + 0.3)
    assert speed.iteration(Work(iterations=7, passes=(waiting, few)), image, 4) == pytest.approx(0.312)
    assert speed.iteration(Work(iterations=7, passes=(waiting,)), image, 4) == pytest.approx(0.312)


def test_the_networks_of_idc_and_dream_learn_ahead():
    for name, batch in (("idc", 64), ("dream", 128)):
        passes = METHODS[name].cost(METHODS[name].settings_model(), CellSize(ipc=10, classes=10, train=50_000)).passes
        assert [each.images for each in passes if each.ahead] == [batch]


def test_the_time_of_an_iteration_of_bacon_is_that_which_was_predicted_for_the_engine():
    cell = Cell.parse("cifar10/bacon/ipc10/seed0")
    assert 0.010 < prediction.distillation(plan_of("bacon", 10), cell, SPEEDS["bf16"]) / 20_000 < 0.016


def test_a_lower_precision_is_never_slower():
    row = prediction.row("cifar10/mtt/ipc10")
    for what in ("networks", "distillation"):
        assert row[f"{what}, bf16, s"] < row[f"{what}, tf32, s"] < row[f"{what}, fp32, s"]


def test_the_deeper_network_counts_where_images_are_recovered_from_it():
    cell, plan = Cell.parse("cifar10/sre2l/ipc10/seed0"), plan_of("sre2l", 10)
    teacher = prediction.layers(plan.needs(cell)[0].network)
    assert teacher > prediction.layers(plan.settings(cell).network)
    launches_alone = Speed(
        rates=dict.fromkeys(SPEEDS["bf16"].rates, float("inf")),
        launch={"forward": 0.0, "training": 0.0, "matching_gradient": 0.0, "image_gradient": 1.0},
    )
    work = METHODS["sre2l"].cost(plan.settings(cell).distillation, CellSize(ipc=10, classes=10, train=50_000))
    (passes,) = work.passes
    assert prediction.distillation(plan, cell, launches_alone) == pytest.approx(
        work.iterations * (passes.count * teacher + prediction._ITERATION)
    )


def test_another_device_has_no_prediction():
    cell, plan = Cell.parse("cifar10/mtt/ipc1/seed0"), plan_of("mtt", 1)
    assert prediction.of(plan, cell, "CPU (some model)") is None
    speed = SPEEDS[plan.settings(cell).network.precision]
    expected = prediction.trainings(plan, cell, speed), prediction.distillation(plan, cell, speed)
    assert prediction.of(plan, cell, "NVIDIA H200") == expected


def test_the_command_writes_what_it_prints(tmp_path):
    path = tmp_path / "predictions.json"
    result = CliRunner().invoke(main, ["predictions", "--cell", "cifar10/dm/ipc10", "--output", str(path)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(path.read_text())["predictions"]
    assert row == prediction.row("cifar10/dm/ipc10")
    assert row["networks, bf16, s"] is None
    assert "cifar10/dm/ipc10" in result.output
