"""The block's Triton kernel: interpreted on the CPU, compiled for GPUs that are not here, and run where there is one."""

import logging
import os
import subprocess
import sys

import pytest
import torch

from bacon.networks.kernels import block_gpu
from bacon.networks.kernels.block import InstanceNormReluPool
from tests.networks.block_on_gpu import (
    LAYOUTS,
    SIZES,
    TOLERANCES,
    check_forward_and_backward,
    check_nan_constant_maps_and_second_derivatives,
    plain,
)

GPU = torch.device("cuda")
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
needs_triton = pytest.mark.skipif(sys.platform != "linux", reason="Triton is made for Linux")

COMPILE = """
import torch, triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.networks.kernels import block_triton

def compiled(function, element, real, maps, squares, warps):
    pointers = {"x": element, "pooled": element, "given": element, "dx": element}
    pointers |= dict.fromkeys(("weight", "bias", "mean", "rstd", "dweight", "dbias"), real)
    constants = {"MAPS": maps, "SQUARES": squares, "REAL": {"fp32": tl.float32, "fp64": tl.float64}[real]}
    signature = {name: "*" + pointers[name] if name in pointers else "fp32" if name == "eps" else
                 "constexpr" if name in constants else "i32" for name in function.arg_names}
    source = ASTSource(fn=function, signature=signature, constexprs=constants)
    for capability in (80, 90):
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
        assert made.asm["cubin"], (function, capability)

for function in (block_triton._forward, block_triton._backward):
    compiled(function, "fp32", "fp32", 4, 256, 4)
    compiled(function, "bf16", "fp32", 32, 64, 8)
    compiled(function, "fp64", "fp64", 1, 1024, 4)
"""


def run(*arguments, **environment):
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_triton
def test_the_interpreted_kernel_equals_the_layers():
    assert "all checks passed" in run("-m", "tests.networks.block_on_gpu", TRITON_INTERPRET="1")


@needs_triton
def test_the_kernel_compiles_for_gpus(tmp_path):
    run("-c", COMPILE, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert list(tmp_path.rglob("*.cubin"))


@pytest.fixture
def _forgotten():
    block_gpu.gpu_kernel.cache_clear()
    yield
    block_gpu.gpu_kernel.cache_clear()


@pytest.mark.usefixtures("_forgotten")
def test_where_it_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("no ptxas")

    monkeypatch.setattr(block_gpu, "_compile", broken)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    with caplog.at_level(logging.INFO):
        assert not any(block_gpu.gpu_kernel(torch.float32, 8, 16, 16) for _ in range(3))
    (record,) = caplog.records
    assert "no ptxas" in record.message


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize(
    ("dtype", "height", "width"), [(torch.float16, 8, 8), (torch.float32, 7, 8), (torch.float32, 8, 256)]
)
def test_maps_that_it_does_not_take_are_not_compiled(monkeypatch, dtype, height, width):
    monkeypatch.setattr(block_gpu, "_compile", None)
    assert not block_gpu.gpu_kernel(dtype, 8, height, width)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("dtype", TOLERANCES)
    def test_forward_and_backward(self, dtype, size, layout):
        check_forward_and_backward(GPU, dtype, size, layout, images=70, channels=64)

    def test_nan_constant_maps_and_second_derivatives(self):
        check_nan_constant_maps_and_second_derivatives(GPU)

    @pytest.mark.parametrize("size", [8, 16, 32, 64])
    def test_the_layer_uses_it(self, size, monkeypatch):
        layer = InstanceNormReluPool(16, device=GPU)
        x = torch.randn(4, 16, size, size, device=GPU)
        assert block_gpu.gpu_kernel(torch.float32, 16, size, size), "it must compile here: see the log"
        expected = plain(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-4)
        monkeypatch.setattr(block_gpu.FusedOnGpu, "apply", lambda *_: "the kernel")
        assert layer(x) == "the kernel"
