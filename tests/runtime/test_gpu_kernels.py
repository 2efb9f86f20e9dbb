"""Whether kernels can be used on the GPU that is there: what is tried, what is not, and what the log says."""

import logging

import pytest
import torch

from bacon.runtime.gpu_kernels import can_run
from tests.triton_kernels import needs_triton, run


@pytest.fixture
def lines(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def gpu(monkeypatch, capability, hip=None):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.version, "hip", hip)


@pytest.mark.parametrize("capability", [(7, 0), (7, 5)])
def test_nothing_is_tried_on_gpus_that_triton_does_not_support(monkeypatch, lines, capability):
    gpu(monkeypatch, capability)
    assert not can_run(lambda: pytest.fail("it was tried"), name="the kernel", instead="layers")
    (line,) = lines()
    assert "8.0" in line
    assert f"{capability[0]}.{capability[1]}" in line
    assert line.endswith("using layers")


@pytest.mark.parametrize(("capability", "hip"), [((8, 0), None), ((8, 6), None), ((12, 0), None), ((7, 5), "6.4")])
def test_kernels_are_tried_on_other_gpus(monkeypatch, lines, capability, hip):
    gpu(monkeypatch, capability, hip)
    tried = []
    assert can_run(lambda: tried.append(1), name="the kernel", instead="layers")
    assert tried == [1]
    assert lines() == []


@needs_triton
def test_too_little_shared_memory_is_a_reason(monkeypatch, lines):
    from triton.runtime.errors import OutOfResources

    def launch():
        raise OutOfResources(120 << 10, 99 << 10, "shared memory")

    gpu(monkeypatch, (8, 6))
    assert not can_run(launch, name="the kernel", instead="layers")
    (line,) = lines()
    assert "OutOfResources" in line
    assert "shared memory" in line


def test_a_reason_of_many_lines_is_one_line_of_the_log(monkeypatch, lines):
    def launch():
        raise RuntimeError("PTXAS error:\n  line 3\n  line 4")

    gpu(monkeypatch, (8, 6))
    assert not can_run(launch, name="the kernel", instead="layers")
    assert lines() == ["the kernel cannot be used (RuntimeError: PTXAS error: line 3 line 4); using layers"]


@needs_triton
def test_kernels_fit_the_shared_memory_of_other_gpus(tmp_path):
    """Of 8.6, whose blocks have least of those that Triton supports."""
    said = run("-m", "tests.launches_compiled", "86", TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert "all fit" in said
    assert list(tmp_path.rglob("*.cubin"))
