"""``reproduce``: where data sets are found, going on after a stop, needed networks within a limit, ours beside published."""

import dataclasses
import json
import shutil
import signal

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from bacon.artifacts.distilled_file import read_distilled
from bacon.config.loading import check_config
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import read_dataset, write_dataset
from bacon.jobs.distillation_job import run_cell
from bacon.methods.registry import METHODS
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from benchmarks.__main__ import main
from benchmarks.cells import random_dataset
from benchmarks.reproduction import accuracy, distillation, needs
from benchmarks.reproduction.data import found_source
from benchmarks.reproduction.distillation import Clock, Reached, distil
from benchmarks.reproduction.needs import train_needs
from benchmarks.reproduction.target import COMPARABLE, Request, make_target, parsed_cell

CPU = torch.device("cpu")


@pytest.fixture
def request_of(tmp_path):
    """Settings of a few iterations, and an empty folder of data: the digits need none."""
    config = tmp_path / "config.yaml"
    experts = {"distillation": {"experts": {"batch_size": 256}}}
    config.write_text(yaml.safe_dump({"preset": "smoke", "methods": {"mtt": experts}}))
    (tmp_path / "data").mkdir()

    def make(folder="run", **more):
        return Request(data=tmp_path / "data", folder=tmp_path / folder, **{"config": config, **more})

    return make


def command(request, *cells, more=()):
    given = ["--data", str(request.data), "--folder", str(request.folder), "--config", str(request.config)]
    given += [part for cell in cells for part in ("--cell", cell)]
    return CliRunner().invoke(main, ["reproduce", *given, "--networks", "1", "--device", "cpu", *more])


def test_cells_are_distilled_and_evaluated_with_both_protocols(request_of):
    request = request_of()
    result = command(request, "digits/dc/ipc1", "digits/random/ipc1", more=("--seconds", "100", "--at", "1"))
    assert result.exit_code == 0, result.output
    content = json.loads((request.folder / "reproduce.json").read_text())
    iterations = make_target(parsed_cell("digits/dc/ipc1"), request).settings.distillation.iteration_count()
    own = METHODS["dc"].protocol
    assert own != COMPARABLE
    found = [(row["cell"], row["protocol"], row["iteration"]) for row in content["accuracy"]]
    assert found == [
        ("digits/dc/ipc1/seed0", COMPARABLE, 1),
        ("digits/dc/ipc1/seed0", COMPARABLE, iterations),
        ("digits/dc/ipc1/seed0", own, 1),
        ("digits/dc/ipc1/seed0", own, iterations),
        ("digits/random/ipc1/seed0", COMPARABLE, 0),
    ]
    distilled, chosen = content["cost"]
    assert distilled["iterations"] == distilled["of"] == iterations
    assert distilled["whole distillation"] == distilled["seconds"] > 0
    assert distilled["measured / predicted"] == distilled["seconds"] / distilled["distillation, predicted"]
    assert (chosen["of"], chosen["seconds per iteration"]) == (0, None)
    assert f"1 of {iterations}" in result.output
    assert "nothing published with convnet" in result.output
    assert f"digits/dc/ipc1/seed0: started, {iterations} steps" in result.stderr, (
        "followed in a file where there is no terminal"
    )


def test_the_images_are_those_of_the_workflow_also_in_pieces(request_of, tmp_path):
    target = make_target(parsed_cell("digits/bacon/ipc1"), request_of())
    total = target.settings.distillation.iteration_count()
    pieces = [distil(target, CPU, seconds=0, at=(2,)) for _ in range(total)]  # an iteration each
    assert [piece.iteration for piece in pieces] == list(range(1, total + 1))
    assert sorted(pieces[-1].images) == [2, total]
    assert pieces[-1].clock.steady_iterations == 0  # each call's first iteration is no steady one
    output = tmp_path / "whole.h5"
    run_cell(target.plan, target.cell, data=target.data, output=output, threads=1)
    whole = read_distilled(output)
    assert torch.equal(pieces[-1].images[total].images, whole.synthetic.images)
    again = distil(make_target(target.cell, request_of("other")), CPU, seconds=100, at=())
    assert torch.equal(again.images[total].images, whole.synthetic.images)
    assert again.clock.steady_iterations == total - 1


def test_iterations_that_an_earlier_call_passed_are_named(request_of):
    target = make_target(parsed_cell("digits/dm/ipc1"), request_of())
    distil(target, CPU, seconds=100, at=())
    reached = distil(target, CPU, seconds=100, at=(1,))
    assert reached.passed == (1,)
    assert list(reached.images) == [reached.total]


def test_a_selection_is_made_once(request_of, monkeypatch):
    target = make_target(parsed_cell("digits/random/ipc1"), request_of())
    first = distil(target, CPU, seconds=1, at=())
    monkeypatch.setattr(distillation._Run, "_select", lambda _: None)
    second = distil(target, CPU, seconds=1, at=())
    assert torch.equal(first.images[0].images, second.images[0].images)
    assert second.clock.seconds == first.clock.seconds > 0


def test_the_whole_cell_is_extrapolated_from_steady_iterations():
    clock = Clock(seconds=12.0, steady_seconds=2.0, steady_iterations=4)
    assert Reached(iteration=5, total=105, images={}, clock=clock).whole_seconds == 12 + 100 * 0.5
    assert Reached(iteration=105, total=105, images={}, clock=clock).whole_seconds == 12
    assert Clock(seconds=3.0).per_iteration(1) == 3


def test_networks_that_a_cell_needs_are_trained_within_a_limit(request_of):
    request = request_of()
    cut = command(request, "digits/mtt/ipc1", more=("--seconds", "100", "--need-seconds", "0"))
    assert cut.exit_code == 3
    assert "not distilled: 0 of the 2 networks" in " ".join(cut.output.split())
    result = command(request, "digits/mtt/ipc1", more=("--seconds", "100"))
    assert result.exit_code == 0, result.output
    (row,) = json.loads((request.folder / "reproduce.json").read_text())["cost"]
    assert row["networks trained"] == row["networks needed"] == 2
    assert row["all of them"] == row["seconds of their training"] > 0


def test_teachers_of_a_protocol_are_trained_and_label(request_of):
    request = request_of()
    target = make_target(parsed_cell("digits/rded/ipc1"), request)
    assert set(target.plans) == {COMPARABLE, "p-rded"}
    assert len(target.needs) == 1, "the method's teacher is the protocol's"
    result = command(request, "digits/rded/ipc1", more=("--seconds", "100"))
    assert result.exit_code == 0, result.output
    rows = json.loads((request.folder / "reproduce.json").read_text())["accuracy"]
    assert [row["protocol"] for row in rows] == [COMPARABLE, "p-rded"]


def test_training_that_is_stopped_goes_on(request_of, monkeypatch):
    target = make_target(parsed_cell("digits/mtt/ipc1"), request_of())
    # The limit is reached when the first epoch ends: a signal, as a timer sends it.
    real_run = needs.run_training

    def stopped(*arguments, **options):
        signal.setitimer(signal.ITIMER_REAL, 1e-3)
        real_run(*arguments, **options)

    monkeypatch.setattr(needs, "run_training", stopped)
    (state,) = train_needs(target, limit=None)
    assert not state.finished
    assert state.seconds > 0
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    monkeypatch.setattr(needs, "run_training", real_run)
    (finished,) = train_needs(target, limit=None)
    assert finished.finished
    assert finished.whole == finished.seconds > state.seconds


def test_a_prepared_data_set_is_taken_as_it_is(request_of):
    request = request_of()
    path = request.data / "cifar10.h5"
    write_dataset(path, named(random_dataset("cifar10", train_limit=200, test_limit=20)))
    target = make_target(parsed_cell("cifar10/dc/ipc1/seed3"), request)
    assert target.data == path
    assert target.plan.data_fingerprint("cifar10") == "random"
    beside = accuracy.published(target)
    assert beside.percent == 28.3
    assert 26.24 in beside.others


def small(dataset):
    """The data set with 4x4 images and the official names of its classes: whitening takes no time."""
    images = {split: getattr(dataset, split)[:, :, ::8, ::8] for split in ("train_images", "test_images")}
    return dataclasses.replace(named(dataset), **images)


def named(dataset):
    return dataclasses.replace(dataset, class_names=REGISTRY[dataset.name].class_names)


@pytest.mark.parametrize(
    ("cell", "zca", "whitened"),
    [
        ("cifar10/mtt/ipc1", False, True),
        ("cifar10/mtt/ipc50", False, False),
        ("cifar10/dc/ipc1", False, False),
        ("cifar10/dc/ipc1", True, True),
    ],
)
def test_a_cell_has_the_form_that_is_published_or_asked_for(request_of, cell, zca, whitened):
    """It is made of a prepared file of the other form, and one that is there is taken."""
    request = request_of(zca=zca, config=None)
    write_dataset(request.data / "cifar10.h5", small(random_dataset("cifar10", train_limit=100, test_limit=20)))
    target = make_target(parsed_cell(cell), request)
    made = read_dataset(target.data)
    assert (made.whitening is not None) == whitened == target.plan.is_whitened(target.cell)
    assert made.fingerprint == target.plan.cell_data_fingerprint(target.cell)
    np.testing.assert_array_equal(made.train_images, read_dataset(request.data / "cifar10.h5").train_images)
    if whitened:
        shutil.move(target.data, request.data / "cifar10-zca.h5")
        assert make_target(parsed_cell(cell), request).data == request.data / "cifar10-zca.h5"


def test_where_raw_data_is_looked_for(tmp_path):
    with pytest.raises(BaconError, match=r"holds no CIFAR-10. Looked for cifar10.h5 .*cifar-10-python.tar.gz"):
        found_source("cifar10", tmp_path)
    (tmp_path / "cifar10.npz").write_bytes(b"")
    assert found_source("cifar10", tmp_path).settings["format"] == "npz"
    with pytest.raises(BaconError, match="data set 'cifar11' is not known"):
        found_source("cifar11", tmp_path)


def test_published_settings_are_used_unless_a_configuration_is_given(request_of):
    target = make_target(parsed_cell("digits/dm/ipc1"), request_of("published", config=None))
    plain = check_config({"preset": "paper", "grid": {"methods": ["dm"]}})
    assert target.settings.distillation == Plan(plain).settings(target.cell).distillation
    assert target.settings.distillation.iterations == 20_000


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--at", "x"), "iterations separated by commas"),
        (("--at", "-1"), "not negative"),
        (("--seconds", "-1"), "-1"),
    ],
)
def test_options_that_make_no_sense(request_of, more, words):
    result = command(request_of(), "digits/dm/ipc1", more=("--seconds", "1", *more))
    assert result.exit_code == 2
    assert words in result.output


def test_a_cell_that_fails_does_not_stop_the_others(request_of, monkeypatch):
    from benchmarks.reproduction import command as module

    real = module.distil

    def failing(target, *arguments, **options):
        if target.cell.method == "dm":
            raise BaconError("not finite")
        return real(target, *arguments, **options)

    monkeypatch.setattr(module, "distil", failing)
    request = request_of()
    result = command(request, "digits/dm/ipc1", "digits/random/ipc1", more=("--seconds", "1"))
    assert result.exit_code == 1
    content = json.loads((request.folder / "reproduce.json").read_text())
    assert content["errors"] == {"digits/dm/ipc1/seed0": "not finite"}
    assert [row["cell"] for row in content["accuracy"]] == ["digits/random/ipc1/seed0"]


def test_raw_digits_are_prepared_once(request_of, monkeypatch):
    target = make_target(parsed_cell("digits/random/ipc1"), request_of())
    monkeypatch.setattr("benchmarks.reproduction.data.prepare", None)
    assert make_target(target.cell, request_of()).data == target.data
    assert target.data.name == "digits.h5"
