"""The published programs of DC, DSA and DM, in turns with ours: their arguments, and the clock around their iterations."""

import time

import pytest
import torch

from bacon.runtime.errors import BaconError
from benchmarks.cells import measured, random_dataset
from benchmarks.condensation import FILES, measure, program_arguments
from benchmarks.published import Published

UTILS = """
from scipy.ndimage.interpolation import rotate
def get_loops(ipc):
    return 10, 50
def get_network(*args):
    return args
"""
PROGRAM = """
import sys, time, torch
from utils import get_loops, get_network
def main():
    loops = get_loops(1)
    x = torch.zeros(3, 2)
    x[:] = x[0]
    assert loops == (1, 1), loops
    assert "--eval_mode" in sys.argv
    for it in range(100):
        get_network("ConvNet")
        time.sleep(0.002)
"""


def given(cell):
    arguments = program_arguments(measured(cell))
    return dict(zip(arguments[::2], arguments[1::2], strict=True))


def test_the_published_programs_get_our_settings():
    dc, dsa, dm = (given(f"cifar10/{name}/ipc1") for name in ("dc", "dsa", "dm"))
    assert (dc["--method"], dsa["--method"]) == ("DC", "DSA")
    assert "--method" not in dm
    assert (dc["--dsa_strategy"], dm["--init"], dm["--lr_img"]) == ("none", "real", "1.0")
    assert dsa["--dsa_strategy"] == "color_crop_cutout_flip_scale_rotate"
    assert dc["--batch_real"] == dm["--batch_real"] == "256"


@pytest.mark.parametrize("cell", ["cifar10/idm/ipc1", "svhn/dc/ipc1"])
def test_other_cells_are_refused(cell):
    with pytest.raises(BaconError, match="cifar10 cells of dc, dsa and dm only"):
        program_arguments(measured(cell))


def test_a_checkout_of_other_programs_is_refused(tmp_path):
    with pytest.raises(BaconError, match=r"main\.py, main_DM\.py, networks\.py, utils\.py missing"):
        Published(tmp_path, random_dataset("digits", train_limit=20), threads=1, specification={}, needed=FILES)


def test_iterations_are_timed_from_outside_and_stand_still_between(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text(UTILS if name == "utils.py" else PROGRAM)
    data = random_dataset("digits", train_limit=20, test_limit=10)
    specification = {"do": "condense", "program": "main", "arguments": ["--eval_mode", "M"], "loops": [1, 1]}
    with Published(tmp_path, data, threads=1, specification=specification, needed=FILES) as program:
        for _ in range(2):
            assert program.ask()["iteration"] >= 0.002
            time.sleep(0.001)


def test_ours_and_theirs_take_turns(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).write_text(UTILS if name == "utils.py" else PROGRAM)
    small = random_dataset("digits", train_limit=60, test_limit=10)
    monkeypatch.setattr("benchmarks.condensation.random_dataset", lambda _: small)
    cell = measured("cifar10/dsa/ipc10")
    network = cell.settings.network.model_copy(update={"width": 4, "depth": 2})
    distillation = cell.settings.distillation.model_copy(update={"batch_real": 2})
    settings = cell.settings.model_copy(update={"network": network, "distillation": distillation})
    cell = type(cell)(cell=type(cell.cell)("cifar10", "dsa", 2, 0), settings=settings)
    row = measure(cell, published=tmp_path, device=torch.device("cpu"), rounds=2, steps=True)
    assert row["rounds"] == 2
    assert row["published_seconds"] >= 0.002
    assert row["published_over_ours"] > 0
