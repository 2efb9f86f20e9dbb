"""What tests of Triton kernels share, which are interpreted, compiled for GPUs that are not here, or run on one."""

import logging
import os
import subprocess
import sys

import pytest
import torch
from packaging.version import Version

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


def check_interpreted(module, *, said="all checks passed"):
    """``python -m module`` compares interpreted kernels with operations, and says so at its end."""
    assert said in run("-m", module, TRITON_INTERPRET="1")


def check_compiled(code, cache):
    """``code`` compiles kernels, of which machine code is in the folder ``cache``."""
    run("-c", code, TRITON_CACHE_DIR=str(cache), TRITON_INTERPRET="0")
    assert list(cache.rglob("*.cubin"))


def loops_take_arguments():
    """For a process whose kernels are interpreted: an argument of a kernel may be the bound of a loop.

    The interpreter of Triton 3.6 (PyTorch 2.11) has NumPy make a number of an array of one, which NumPy 2.4 refuses.
    """
    import triton
    from triton.runtime import interpreter

    if Version(triton.__version__) >= Version("3.8"):
        return
    patch = interpreter._patch_lang_tensor

    def patch_further(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patch_further


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
