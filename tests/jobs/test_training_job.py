"""A job that trains networks on a real set: killed, stopped, asked for what is not planned."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from bacon.operations.workflow_plan import load_plan
from bacon.settings.cells import RunBlock
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
CONFIG = {
    "preset": "smoke",
    "grid": {"datasets": ["digits"], "methods": ["random"], "ipc": [1], "seeds": 1},
    "datasets": {"digits": {"network": {"width": 8, "depth": 2}}},
    "overrides": {"digits/full": {"evaluation": {"epochs": 12, "seeds": 2}}},
    "run": {"checkpoint_seconds": 0, "progress_seconds": 0.1},
}
DATA = "results/data/digits.h5"


def script(folder, name, *arguments):
    """A running script of the workflow in a working directory."""
    command = [sys.executable, str(ROOT / f"workflow/scripts/{name}.py"), "--config", "config.yaml", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def train(folder, block):
    return script(folder, "train", "--runs", str(block), "--data", DATA, "--output", str(block.path))


def finished(process):
    """Its log."""
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return log


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A working directory with the full data set's two networks, and what job trained them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    finished(script(folder, "preprocess", "--dataset", "digits", "--output", DATA))
    (training,) = load_plan(folder / "config.yaml").trainings.values()
    (block,) = training.blocks
    finished(train(folder, block))
    return folder, block


def weights(folder, block):
    """Every array of every run."""
    found = []
    for run in block.runs:
        with h5py.File(folder / block.run_path(run)) as file:
            found.append({name: values[()] for name, values in file["weights"].items()})
            assert file.attrs["epochs"] == 12
    return found


def disturbed(undisturbed, folder):
    """The same working directory before the training."""
    (folder / "results/data").mkdir(parents=True)
    for name in ("config.yaml", DATA):
        (folder / name).write_bytes((undisturbed[0] / name).read_bytes())
    return undisturbed[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_job_goes_on_to_the_same_bits(undisturbed, tmp_path, number):
    block = disturbed(undisturbed, tmp_path)
    process = train(tmp_path, block)
    checkpoints = tmp_path / block.checkpoint_folder
    wait_for(lambda: process.poll() is not None or any(checkpoints.rglob("[0-9]*.ckpt")))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + signal.SIGTERM)
    assert not (tmp_path / block.path).exists()
    log = finished(train(tmp_path, block))
    assert "resumed runs" in log or "1 of them already trained" in log
    for ours, theirs in zip(weights(tmp_path, block), weights(*undisturbed), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert not any(checkpoints.rglob("*"))
    assert not (tmp_path / block.running_path).exists()


def test_runs_that_no_cell_needs_are_refused(undisturbed):
    folder, block = undisturbed
    other = train(folder, RunBlock("digits", "convnet3-00000000", 0, 1))
    _, log = other.communicate(timeout=60)
    assert other.returncode == 1
    assert (
        f"no cell of this configuration needs the training runs digits/convnet3-00000000; it has {block.dataset}/"
        in log
    )
    assert "Traceback" not in log


def test_a_job_is_held_to_the_fingerprint_that_the_workflow_asked_for(undisturbed):
    folder, block = undisturbed
    arguments = ("--runs", str(block), "--data", DATA, "--output", str(block.path), "--fingerprint", "0" * 32)
    process = script(folder, "train", *arguments)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "changed while the workflow ran" in log
