"""Where the real images are kept is a setting of the run that every job hands on."""

from pathlib import Path

import pytest

from bacon.config.loading import check_config
from bacon.jobs import distillation_job, evaluation_job, training_job
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "seeds": 1}
    return Plan(check_config({"preset": "smoke", "grid": grid, "run": {"real_images": "host", "device": "cpu"}}))


def seen(monkeypatch, module, name, work):
    """What a job hands to the library call that it makes."""
    given = []
    monkeypatch.setattr(module, "set_up_arithmetic", lambda *_, **__: None)  # of the whole process
    monkeypatch.setattr(module, name, lambda *places, **named: given.append((places, named)))
    work()
    return given[0]


def test_a_distillation(plan, monkeypatch):
    cell, data = Cell("digits", "dm", 1, 0), Path("digits.h5")
    call = seen(
        monkeypatch,
        distillation_job,
        "distil_cell",
        lambda: distillation_job.run_cell(plan, cell, data=data, output=Path("made.h5"), threads=1),
    )
    assert call[1]["placement"] == "host"


def test_networks_of_the_real_set(plan, monkeypatch):
    (training,) = plan.trainings.values()
    (block,) = training.blocks
    call = seen(
        monkeypatch,
        training_job,
        "train_block",
        lambda: training_job.run_training(plan, block, data=Path("digits.h5"), output=Path("made.json"), threads=1),
    )
    assert call[0][0].placement == "host"


def test_an_evaluation(plan, monkeypatch):
    cell = Cell("digits", "dm", 1, 0)
    (network,) = plan.networks
    call = seen(
        monkeypatch,
        evaluation_job,
        "evaluate_distilled",
        lambda: evaluation_job.run_evaluation(
            plan, cell, network, data=Path("digits.h5"), images=Path("made.h5"), output=Path("made.json"), threads=1
        ),
    )
    assert call[0][0].placement == "host"
