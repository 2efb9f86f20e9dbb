"""Tests that need a GPU, on the emulated one: ``pytest -m gpu`` would not fail for want of a right program."""

import re

import pytest
import torch

from bacon.methods.registry import METHODS
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
    "transforms/test_policies.py::test_a_gpu_that_sums_in_a_fixed_order_has_all_operations_of_a_policy[auto]",
)
"""The quickest of each kind; all together take half an hour."""


needs_cuda = pytest.mark.skipif(torch.version.cuda is None, reason="PyTorch was built without CUDA")


@needs_cuda
def test_what_needs_a_gpu_runs_on_an_emulated_one_which_finds_mistakes():
    check("tests/emulated_gpu/test_mistakes.py", *(f"tests/{name}" for name in CHOSEN), least=len(CHOSEN))


@needs_cuda
def test_every_method_runs_from_images_to_an_accuracy():
    """The quickest whole jobs; all of them take an hour."""
    check("-m", "not whole_jobs", "tests/emulated_gpu/test_whole_jobs.py", least=len(METHODS) - 2)


def check(*arguments, least):
    """Nothing fails and nothing is left out, of more tests and more recorded graphs than ``least``."""
    result = run(["-q", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "skipped" not in result.stdout
    for count in ("passed", "graphs recorded"):
        (found,) = re.findall(rf"(\d+) {count}", result.stdout)
        assert int(found) > least, count
