"""Trajectory matching in turns with published programs: their arguments, their experts, and the clock around iterations."""

import pytest
import torch

from bacon.runtime.errors import BaconError
from benchmarks import trajectories
from benchmarks.cells import measured, random_dataset
from benchmarks.published import check_checkout
from benchmarks.trajectories import FILES, measure, program_arguments, summary

CPU = torch.device("cpu")
UTILS = """
import kornia, tqdm
def get_network(*args, **options):
    return args
"""
PROGRAM = """
import argparse, os, sys
import torch, wandb
from tqdm import tqdm
from utils import get_network
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("buffer_path", "syn_steps", "eval_it", "expert_epochs"):
        parser.add_argument("--" + name)
    args, _ = parser.parse_known_args()
    wandb.init(config=args, project="any")
    assert wandb.config._items["syn_steps"] == "3"
    (walk,) = torch.load(os.path.join(args.buffer_path, "CIFAR10_NO_ZCA", "ConvNet", "replay_buffer_0.pt"))
    assert len(walk) == 1 + int(args.expert_epochs)
    assert [tuple(each.shape) for each in walk[0]] == [tuple(each.shape) for each in walk[1]]
    for it in tqdm(range(10)):
        wandb.log({"Progress": it}, step=it)
        get_network("ConvNet", dist=False)
        torch.ones(100, 100) @ torch.ones(100, 100)
"""


def test_the_published_programs_get_our_settings(tmp_path):
    cell = measured("cifar10/mtt/ipc10")
    arguments = program_arguments(cell, cell.settings.distillation, tmp_path)
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert (given["--syn_steps"], given["--lr_teacher"], given["--lr_img"]) == ("30", "0.001", "100.0")
    assert (given["--dsa"], given["--buffer_path"], given["--eval_it"]) == ("True", str(tmp_path), "-1")
    assert "--batch_syn" not in given, "all images"
    fewer = cell.settings.distillation.model_copy(update={"batch_syn": 20, "dsa_strategy": "none"})
    arguments = program_arguments(cell, fewer, tmp_path)
    assert arguments[arguments.index("--batch_syn") + 1] == "20"
    assert arguments[arguments.index("--dsa") + 1] == "False"


@pytest.mark.parametrize("cell", ["cifar10/datm/ipc1", "svhn/mtt/ipc1"])
def test_other_cells_are_refused(cell, tmp_path):
    chosen = measured(cell)
    with pytest.raises(BaconError, match="cifar10/mtt cells only"):
        program_arguments(chosen, chosen.settings.distillation, tmp_path)


def test_a_method_without_trajectories_and_another_checkout_are_refused(tmp_path):
    with pytest.raises(BaconError, match="matches no trajectories"):
        measure(measured("cifar10/dm/ipc1"), published={}, device=CPU, rounds=1)
    with pytest.raises(BaconError, match=r"distill\.py, networks\.py, reparam_module\.py, utils\.py missing"):
        check_checkout(tmp_path, FILES)


def test_ours_both_ways_and_theirs_take_turns(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).write_text({"utils.py": UTILS, "distill.py": PROGRAM}.get(name, ""))
    small = random_dataset("digits", train_limit=60, test_limit=10)
    monkeypatch.setattr("benchmarks.trajectories.random_dataset", lambda *_, **__: small)
    cell = measured("cifar10/mtt/ipc1")
    network = cell.settings.network.model_copy(update={"width": 4, "depth": 2})
    cell = type(cell)(cell=cell.cell, settings=cell.settings.model_copy(update={"network": network}))
    load, ways = trajectories.load_algorithm, []

    def noted(path, settings, context):
        ways.append((settings.constant_memory, settings.student_steps))
        return load(path, settings, context)

    monkeypatch.setattr(trajectories, "load_algorithm", noted)
    row = measure(cell, published={"mtt": tmp_path}, device=CPU, rounds=2, steps=3)
    assert ways == [(False, 3), (True, 3)], "naive and in constant memory"
    assert (row["steps"], row["rounds"]) == (3, 2)
    assert min(row[f"{name}_seconds"] for name in ("naive", "constant", "mtt")) > 0
    assert row["mtt_over_naive"] > 0


def test_ratios_are_medians_of_the_rounds():
    row = summary({"naive": [1.0, 2.0, 4.0], "constant": [2.0, 2.0, 4.0], "mtt": [2.0, 8.0, 4.0]})
    assert row["constant_over_naive"] == 1
    assert (row["mtt_seconds"], row["mtt_over_naive"], row["mtt_over_constant"]) == (4, 2, 1)
    assert "naive_over_constant" not in row
