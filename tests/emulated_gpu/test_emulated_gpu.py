"""Tests that need a GPU, on the emulated one: ``pytest -m gpu`` would not fail for want of a right program."""

import re

import pytest
import torch

from tests.emulated_gpu.__main__ import run

CHOSEN = (
    "benchmarks/test_gpu_command.py::test_a_part_measures_on_a_gpu[accuracy]",
    "benchmarks/test_gpu_command.py::test_a_part_measures_on_a_gpu[determinism]",
    "distillation/test_gpu.py::test_the_gpu_computes_what_the_cpu_computes[bacon-dtype0-1e-09]",
    "distillation/test_gpu.py::test_an_iteration_never_waits_for_the_gpu[bacon-bf16]",
    "distillation/test_gpu.py::test_an_iteration_never_waits_for_the_gpu[dm-tf32]",
    "distillation/test_gpu.py::test_every_method_that_is_recorded_gives_what_is_launched[cafe_dsa]",
    "distillation/test_gpu.py::test_every_method_that_is_recorded_gives_what_is_launched[frepo]",
    "distillation/test_gpu.py::test_every_run_gives_the_same_bits[bacon-tf32]",
    "distillation/test_gpu.py::test_a_run_that_stopped_goes_on_with_the_same_bits[bacon]",
    "training/test_sgd_gpu.py::TestOnAGpu::test_recorded_steps_by_the_kernel_equal_plain_ones[bf16]",
    "methods/test_contract.py::test_a_run_that_goes_on_from_its_state_ends_with_the_same_bits[cuda-3-standardised]",
)
"""The quickest of each kind; all together take half an hour."""


@pytest.mark.skipif(torch.version.cuda is None, reason="PyTorch was built without CUDA")
def test_what_needs_a_gpu_runs_on_an_emulated_one_which_finds_mistakes():
    chosen = [f"tests/{name}" for name in CHOSEN]
    result = run(["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "tests/emulated_gpu/test_mistakes.py", *chosen])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "skipped" not in result.stdout
    for count in ("passed", "graphs recorded"):
        (found,) = re.findall(rf"(\d+) {count}", result.stdout)
        assert int(found) > len(CHOSEN), count
