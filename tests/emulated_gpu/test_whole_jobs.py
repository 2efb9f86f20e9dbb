"""Whole jobs on a GPU: of every method, protocol, network and downstream task, with every setting of a run that a GPU has.

They run where there is a GPU, or an emulated one. ``test_emulated_gpu`` runs those that are not marked ``whole_jobs`` on that;
``python -m tests.emulated_gpu tests/emulated_gpu/test_whole_jobs.py`` runs all. Other tests ask which numbers come out.
Here nothing may fail, a killed job goes on to the same bits, and seeds that share a job have the bits that they have alone.
"""

import importlib.util

import pytest
import torch

from bacon.artifacts.evaluation_records import read_evaluation
from bacon.distillation import recorded_steps
from bacon.distillation.engine import Engine
from bacon.downstream.registry import TASKS
from bacon.methods.registry import METHODS
from bacon.runtime import recording
from bacon.runtime.recording import Recording
from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.protocols import PROTOCOLS
from bacon.training import steps
from bacon.training.loop import Training
from tests.emulated_gpu.whole_jobs import arrays, distil, evaluate, make_inputs, planned, run, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs python -m tests.emulated_gpu, or a GPU")
takes_minutes = pytest.mark.whole_jobs

DISTILLED = [method.name for method in METHODS.values() if method.is_distilled]
SELECTING = {"random", "herding", "kcenter", "forgetting", "kmeans", "rded", "ls"}
"""Methods without iterations, which do not go on from a checkpoint."""
UNRECORDED = {"gvbsm", *SELECTING}
"""Whose iterations are not recorded."""
OPTIONS = {
    "batch norm, bf16": {"datasets": {"toy": {"network": {"norm": "batch", "precision": "bf16"}}}},
    "three images, fp32": {"datasets": {"toy": {"network": {"precision": "fp32"}}}, "grid": {"ipc": [3]}},
    "sums in any order, bf16": {
        "datasets": {"toy": {"network": {"precision": "bf16"}}},
        "run": {"deterministic": False},
    },
    "images on the host": {"run": {"real_images": "host"}},
    "grey": {},
}
TASK_SETTINGS = {
    "architecture_search": {
        "widths": [4],
        "depths": [1, 2],
        "norms": ["instance", "batch"],
        "activations": ["relu"],
        "reference_runs": 1,
        "reference_epochs": 1,
    },
    "calibration": {},
    "continual": {},
    "corruptions": {"severities": [1], "test_images": 6},
    "membership": {"shadows": 2, "images": 10},
    "robustness": {"test_images": 6, "epsilons": [0.03], "steps": 2},
}


class Killed(BaseException):
    """In the middle of a job."""


@pytest.fixture(autouse=True)
def recordings(monkeypatch, tmp_path):
    """The work that is recorded, by its name; everything that can be is, however few steps there are, and after one trial."""
    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    for module in (recorded_steps, steps):
        monkeypatch.setattr(module, "_WORTH_RECORDING", 1)
    monkeypatch.setattr(recording, "_WARM_UP", 1)
    found, capture = [], Recording._capture

    def captured(work):
        capture(work)
        assert work.is_recorded, "see the log"
        found.append(work._name)

    monkeypatch.setattr(Recording, "_capture", captured)
    yield found
    torch.set_deterministic_debug_mode("default")


def of_method(method, **changes):
    """A method of three iterations, the first of which is recorded."""
    fewest = {"iterations": 3, "snapshot_interval": 0}
    own = {key: value for key, value in fewest.items() if key in METHODS[method].settings_model.model_fields}
    return {"grid": {"methods": [method]}, "methods": {method: {"distillation": own}}, **changes}


@pytest.mark.parametrize("method", DISTILLED)
def test_every_method_from_images_to_an_accuracy(method, tmp_path, recordings):
    plan = planned(tmp_path, of_method(method, protocol="native"))
    run(plan)
    (cell,), (network,) = plan.cells, plan.networks
    records = read_evaluation(tmp_path / plan.evaluation_path(cell, network))["records"]
    accuracies = [one.test_accuracy for one in records if one.final]
    assert accuracies
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert any(name != "a training step" for name in recordings) == (method not in UNRECORDED)


@takes_minutes
@pytest.mark.parametrize("method", [name for name in DISTILLED if name not in SELECTING])
def test_a_method_that_is_killed_goes_on_to_the_same_bits(method, tmp_path, monkeypatch):
    plan = planned(tmp_path, of_method(method, run={"checkpoint_seconds": 0}))
    make_inputs(plan)
    (cell,) = plan.cells
    whole = arrays(made := distil(plan, cell))
    made.unlink()
    _killed_after(monkeypatch, Engine, "step", 2, lambda: distil(plan, cell))
    assert any((tmp_path / cell.checkpoint_folder).rglob("*.ckpt"))
    assert arrays(distil(plan, cell)) == whole


@takes_minutes
@pytest.mark.parametrize("runs_at_once", [1, 3])
@pytest.mark.parametrize("method", ["mtt", "forgetting", "sre2l", "gvbsm", "dm_iid"])
def test_networks_of_the_real_set_whose_training_is_killed_go_on_to_the_same_bits(
    method, runs_at_once, tmp_path, monkeypatch
):
    plan = planned(tmp_path, of_method(method, run={"checkpoint_seconds": 0, "runs_at_once": runs_at_once}))
    make_inputs(plan)
    folder = tmp_path / "results/training"
    whole = {path: arrays(path) for path in folder.rglob("*.h5")}
    for path in [each for each in folder.rglob("*") if each.is_file()]:
        path.unlink()
    _killed_after(monkeypatch, Training, "next_epoch", 3, lambda: train(plan))
    train(plan)
    assert {path: arrays(path) for path in folder.rglob("*.h5")} == whole


@takes_minutes
def test_networks_of_the_real_set_that_find_no_memory_side_by_side_are_trained_one_by_one(tmp_path, monkeypatch):
    """What the first try has launched on streams of its own may still run."""
    plan, step, calls = planned(tmp_path, of_method("mtt")), Training.next_epoch, []

    def out_of_memory_once(training):
        calls.append(training)
        for number, _ in enumerate(step(training)):
            if len(calls) == 2 and number == 1:
                raise torch.OutOfMemoryError("no room")
            yield

    make_inputs(plan)
    folder = tmp_path / "results/training"
    whole = {path: arrays(path) for path in folder.rglob("*.h5")}
    for path in [each for each in folder.rglob("*") if each.is_file()]:
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Training, "next_epoch", out_of_memory_once)
        train(plan)
    assert len(set(calls)) > 2, "those that were given up are begun again"
    assert {path: arrays(path) for path in folder.rglob("*.h5")} == whole


def _killed_after(monkeypatch, owner, name, times, work):
    """Do ``work`` until a method of ``owner`` has been called so many times."""
    function, calls = getattr(owner, name), []

    def called(*arguments):
        calls.append(name)
        if len(calls) > times:
            raise Killed
        return function(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, called)
        with pytest.raises(Killed):
            work()
    torch.cuda.synchronize()  # of a process that has ended nothing is left


@takes_minutes
@pytest.mark.parametrize("method", ["bacon", "dm", "dsa", "idc", "mtt", "frepo", "sre2l", "ncfm", "cafe", "ld", "kip"])
def test_seeds_that_share_a_job_have_the_bits_that_they_have_alone(method, tmp_path):
    found = []
    for at_once in (1, 2):
        plan = planned(
            tmp_path / str(at_once), of_method(method, run={"cells_at_once": at_once}), {"grid": {"seeds": 2}}
        )
        make_inputs(plan)
        found.append([arrays(distil(plan, cell)) for cell in plan.cells])
    assert found[0] == found[1]


@takes_minutes
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("method", DISTILLED)
def test_every_method_with_other_settings(method, option, tmp_path):
    run(planned(tmp_path, of_method(method), OPTIONS[option], channels=1 if option == "grey" else 3))


@takes_minutes
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("method", ["random", "frepo", "dd", "ld"])
def test_every_protocol(method, protocol, tmp_path):
    """On a selection, learned labels, learned rates, and both; of random images the full data set too."""
    ranking = {"data": {"toy": {"validation": 0.25}}, "grid": {"methods": list({"random": 0, method: 0})}}
    plan = planned(tmp_path, of_method(method, protocol=protocol), ranking if protocol == "dd-ranking" else {})
    run(plan)
    if method == "random":
        train(plan, full=True)
        for cell in plan.references:
            evaluate(plan, cell)


@takes_minutes
@pytest.mark.parametrize("task", TASKS)
def test_every_downstream_task(task, tmp_path):
    for package in TASKS[task].packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: tests/install-packages.sh downstream")
    tasks = {"data": {"toy": {"validation": 0.25}}, "downstream": {task: TASK_SETTINGS[task]}}
    run(planned(tmp_path, of_method("dm"), {"grid": {"downstream": [task]}}, tasks))


@takes_minutes
@pytest.mark.parametrize(
    ("architecture", "norm"), [(name, norm) for name, each in ARCHITECTURES.items() for norm in each.norms]
)
def test_every_network_of_an_evaluation(architecture, norm, tmp_path):
    network = {"architecture": architecture, "norm": norm}
    run(planned(tmp_path, {"networks": {"own": network}, "grid": {"networks": ["own"]}}, side=32))
