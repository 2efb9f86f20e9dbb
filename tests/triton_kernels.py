"""What tests of Triton kernels share, which are interpreted, compiled for GPUs that are not here, or run on one."""

import logging
import os
import subprocess
import sys

import pytest
import torch

on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
needs_triton = pytest.mark.skipif(sys.platform != "linux", reason="Triton is made for Linux")


def run(*arguments, **environment):
    """What Python prints, called with ``arguments``; it must succeed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interpreted_range(first, last, step):
    """``range`` in an interpreted kernel.

    The interpreter of Triton 3.6 (PyTorch 2.11) asks NumPy for the number in an array of one, which NumPy 2.4 refuses.
    """
    return range(first, last.handle.data.item(), step)


def logged_where_it_cannot_be_compiled(monkeypatch, caplog, module, ask):
    """The one line of the log, where ``ask`` is told three times that the kernels of ``module`` cannot be had."""

    def broken(*_):
        raise RuntimeError("no ptxas")

    monkeypatch.setattr(module, "_compile", broken)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    with caplog.at_level(logging.INFO):
        assert not any(ask() for _ in range(3))
    (record,) = caplog.records
    assert "no ptxas" in record.message
    return record.message
