import logging
import os

import hypothesis
import pytest

from bacon.distillation.matching import class_moments_gpu
from bacon.networks.kernels import block, block_gpu, classifier_gpu, first, first_gpu
from bacon.runtime import draws, draws_gpu, recording
from bacon.training import cross_entropy_gpu, sgd_gpu
from bacon.transforms import affine_pass_gpu, normalised_gpu, partition_gpu
from tests import recorded_operations

# PyTorch reads it once, at the first product of matrices on a GPU (bacon.runtime.devices.set_up_arithmetic).
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# The same examples in every run, and no time limit: how busy the machine is must not fail a test.
hypothesis.settings.register_profile("deterministic", deadline=None, derandomize=True)
hypothesis.settings.load_profile("deterministic")


@pytest.fixture(autouse=True)
def _own_logging():
    """A test that sets logging up, as the commands do, leaves it as it was: caplog needs records to propagate."""
    logger = logging.getLogger("bacon")
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [], True
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture
def draws_on_device(monkeypatch):
    """Random words are made in torch, as on a GPU; on a CPU numpy makes them, which counts as traffic with the host."""
    monkeypatch.setattr(draws, "_is_host", lambda _: False)


@pytest.fixture
def forgotten_kernels():
    """Which kernels can be used is asked anew, here and afterwards."""
    known = (
        block_gpu.gpu_kernel,
        block_gpu.gpu_second,
        first_gpu.gpu_first,
        classifier_gpu.gpu_kernel,
        affine_pass_gpu.gpu_kernel,
        partition_gpu.gpu_kernel,
        class_moments_gpu.gpu_kernels,
        normalised_gpu.gpu_kernel,
        draws_gpu.gpu_kernel,
        cross_entropy_gpu.gpu_kernel,
        sgd_gpu.gpu_kernel,
    )
    for each in known:
        each.cache_clear()
    yield
    for each in known:
        each.cache_clear()


@pytest.fixture
def replayed_on_the_cpu(monkeypatch):
    """What a GPU records is recorded here too (``tests.recorded_operations``), in layers that PyTorch sees."""
    monkeypatch.setattr(draws, "_is_host", lambda _: False)
    monkeypatch.setattr(recording, "recorded", recorded_operations.recorded)
    for module in (block, first):
        monkeypatch.setattr(module, "kernel", lambda: None)
