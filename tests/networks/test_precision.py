"""What is said, and how networks are laid out, on GPUs that lack a precision's arithmetic."""

import logging

import pytest
import torch

from bacon.networks import arithmetic, build
from bacon.settings.network import NetworkSettings


@pytest.fixture
def lines(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    caplog.set_level(logging.INFO)
    arithmetic.is_native.cache_clear()
    yield lambda: [(record.levelname, record.getMessage()) for record in caplog.records]
    arithmetic.is_native.cache_clear()


def gpu(monkeypatch, *, new):
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: new)
    # PyTorch emulates bfloat16 where there is none.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: new or including_emulation)


@pytest.mark.parametrize(
    ("precision", "level", "said"), [("tf32", "INFO", "full float32"), ("bf16", "WARNING", "emulates")]
)
def test_a_gpu_without_the_arithmetic_is_said_once(monkeypatch, lines, precision, level, said):
    gpu(monkeypatch, new=False)
    assert not any(arithmetic.is_native(precision) for _ in range(3))
    ((found, line),) = lines()
    assert found == level
    assert said in line
    assert "Old GPU" in line
    assert "network.precision = fp32" in line


@pytest.mark.parametrize(("precision", "new"), [("fp32", False), ("fp32", True), ("tf32", True), ("bf16", True)])
def test_nothing_is_said_of_a_gpu_that_has_it(monkeypatch, lines, precision, new):
    gpu(monkeypatch, new=new)
    assert arithmetic.is_native(precision)
    assert lines() == []


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("new", [False, True])
def test_weights_lie_as_tensor_cores_read_them_where_there_are_such(monkeypatch, precision, new):
    gpu(monkeypatch, new=new)
    convolution = torch.nn.Conv2d(3, 8, 3)
    build._laid_out(convolution, NetworkSettings(precision=precision), torch.device("cuda"))
    last = convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert last == (new and precision != "fp32")
