"""The one command for a GPU, tried on the CPU; memory and precision, which it calls."""

import json

import pytest
import torch
from click.testing import CliRunner

from bacon.runtime.errors import BaconError
from benchmarks import gpu, memory
from benchmarks.__main__ import main
from benchmarks.cells import measured
from benchmarks.cost import iteration
from benchmarks.gpu import Step
from benchmarks.precision import spread


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_everything_runs_and_lies_in_one_folder(tmp_path):
    folder = tmp_path / "found"
    cell = ("--cell", "digits/bacon/ipc1", "--rounds", 1, "--threads", 1)
    output = invoke("gpu", "--device", "cpu", *cell, "--tests", "tests/training/test_steps.py", "--folder", folder)
    assert "speed-bf16" in output
    found = json.loads((folder / "gpu.json").read_text())["steps"]
    assert [row["step"] for row in found] == ["tests", "speed-bf16", "memory"]
    assert all(row["status"] == 0 for row in found)
    assert "skipped" in (folder / "tests.log").read_text() or torch.cuda.is_available()
    speed = json.loads((folder / "speed-bf16.json").read_text())
    assert speed["machine"]["dtype"] == "bfloat16"
    assert speed["distillation"][0]["per_second"] > 0
    (row,) = json.loads((folder / "memory.json").read_text())["memory"]
    assert 2**28 < row["evaluate_cpu_bytes"] < 2**32
    assert 2**28 < row["distill_cpu_bytes"] < 2**32


def test_the_steps_are_commands_that_exist(tmp_path):
    (tmp_path / "cifar10.h5").write_bytes(b"")
    todo = gpu.steps(
        tmp_path, device="cuda", cells=["cifar10/bacon/ipc1"], rounds=2, threads=3, published=tmp_path, data=tmp_path
    )
    assert [step.name for step in todo] == [
        *("tests", "speed-fp32", "speed-tf32", "speed-bf16", "memory", "accuracy-ipc1", "accuracy-ipc10"),
    ]
    assert [step.name for step in todo if "--published" in step.arguments] == ["speed-fp32"]
    for step in todo[1:]:
        _, _, command, *arguments = step.arguments
        # Parses the arguments; raises where the command has no such option.
        main.commands[command].make_context(command, arguments)
    without = gpu.steps(tmp_path, device="cuda", cells=[], rounds=2, threads=3, published=None, data=None)
    assert not any("accuracy" in step.name for step in without)


def test_a_step_that_fails_is_named_and_the_others_run(tmp_path):
    todo = [
        Step(name="bad", arguments=("-c", "print('what went wrong'); raise SystemExit(3)")),
        Step(name="good", arguments=("-c", "print('fine')")),
    ]
    with pytest.raises(BaconError, match=r"failed: bad; 0 steps were not started\. See .*bad\.log"):
        gpu.run(todo, tmp_path)
    assert [row["status"] for row in json.loads((tmp_path / "gpu.json").read_text())["steps"]] == [3, 0]
    assert "what went wrong" in (tmp_path / "bad.log").read_text()


def test_nothing_is_measured_when_the_tests_fail(tmp_path):
    todo = [
        Step(name="tests", arguments=("-c", "raise SystemExit(1)"), needed=True),
        Step(name="later", arguments=("-c", "")),
    ]
    with pytest.raises(BaconError, match="failed: tests; 1 steps were not started"):
        gpu.run(todo, tmp_path)
    assert not (tmp_path / "later.log").exists()


def test_memory_of_a_job_that_fails_says_why(tmp_path):
    with pytest.raises(BaconError, match=r"status 1:(.|\n)*nothing.h5: does not exist"):
        memory._run("distill", "digits/bacon/ipc1", "nothing.h5", str(tmp_path), "cpu", "1", "")


def test_memory_is_that_of_every_job_of_a_cell(tmp_path):
    output = tmp_path / "memory.json"
    invoke("memory", "--cell", "digits/bacon/ipc1", "--device", "cpu", "--output", output)
    (row,) = json.loads(output.read_text())["memory"]
    jobs = {"distill_cpu_bytes", "resume_cpu_bytes", "evaluate_cpu_bytes"}
    assert row.keys() == {"cell", "gpu_counted_bytes", *jobs}
    assert all(2e8 < row[job] < 4e9 for job in jobs)


def test_the_peak_is_of_this_process_alone():
    before = memory.peaks(torch.device("cpu"))["cpu_bytes"]
    held = torch.ones(2**28)  # 1 GiB
    assert memory.peaks(torch.device("cpu"))["cpu_bytes"] >= max(before, held.nbytes)


def test_precision_compares_seed_by_seed(tmp_path):
    config, output = tmp_path / "tiny.yaml", tmp_path / "precision.json"
    config.write_text(
        "preset: demo\n"
        "overrides:\n"
        "  digits/dm/ipc1/seed*: {distillation: {iterations: 2, batch_real: 8}, evaluation: {epochs: 2}, network: {width: 4}}\n"
    )
    invoke(
        "precision", "--cell", "digits/dm/ipc1", "--config", config, "--seeds", 2, "--device", "cpu", "--output", output
    )
    first, second = json.loads(output.read_text())["precision"]
    assert (first["precision"], second["precision"], first["n"]) == ("fp32", "bf16", 2)
    assert (first["difference"], first["difference_sd"]) == (0, 0)
    assert second["difference"] == pytest.approx(second["accuracy"] - first["accuracy"])
    assert spread([1.0]) == 0.0


def test_bfloat16_maps_are_half_the_bytes_of_the_same_operations():
    plain, halved = (measured("cifar10/bacon/ipc10", precision=precision) for precision in ("fp32", "bf16"))
    costs = [iteration(cell.matching, cell.settings.network, (3, 32, 32), [5000] * 10, 10) for cell in (plain, halved)]
    for part in ("real", "synthetic", "queue"):
        assert costs[0][part].flop == costs[1][part].flop
        assert costs[0][part].bytes == 2 * costs[1][part].bytes
