"""The partition's Triton kernels: interpreted on the CPU, compiled for a GPU that is not here, and run where there is one."""

import pytest
import torch

from bacon.transforms import partition, partition_gpu
from bacon.transforms.partition import decode
from tests.triton_kernels import (
    check_compiled,
    check_interpreted,
    logged_where_it_cannot_be_compiled,
    needs_triton,
    on_a_gpu,
)

COMPILE = """
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.transforms import partition_triton

for function in (partition_triton._decoded, partition_triton._collected):
    constants = {"FACTOR": 2, "PIXELS": 1024, "REAL": tl.float32}
    signature = {name: "*fp32" if name in ("images", "gradient", "out") else "constexpr" if name in constants else "i32"
                 for name in function.arg_names}
    source = ASTSource(fn=function, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": partition_triton._WARPS})
    assert made.asm["cubin"], function
"""


@needs_triton
def test_the_interpreted_kernels_equal_the_operations():
    check_interpreted("tests.transforms.partition_on_gpu")


@needs_triton
def test_the_kernels_compile_for_a_gpu(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_they_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, partition_gpu, lambda: partition_gpu.gpu_kernel(torch.float32, 2, 8, 8)
    )
    assert not partition_gpu.gpu_kernel(torch.float32, 5, 10, 10)


@pytest.mark.parametrize("lead", [(), (2, 3)])
def test_images_that_the_kernels_take_go_through_them_with_all_derivatives(monkeypatch, lead):
    images = torch.randn(*lead, 2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    expected, calls = decode(images, 2), []

    def forward(images, factor):
        calls.append("forward")
        return partition.decoded_by_operations(images, factor)

    def transposed(gradient, factor):
        calls.append("transposed")
        stored = torch.zeros(len(gradient) // factor**2, *gradient.shape[1:], dtype=gradient.dtype, requires_grad=True)
        with torch.enable_grad():
            made = partition.decoded_by_operations(stored, factor)
        return torch.autograd.grad(made, stored, gradient)[0]

    monkeypatch.setattr(partition_gpu, "takes_kernel", lambda *_: True)
    monkeypatch.setattr(partition_gpu, "forward", forward)
    monkeypatch.setattr(partition_gpu, "transposed", transposed)
    made = partition.decode(images, 2)
    assert torch.equal(made, expected)
    (gradient,) = torch.autograd.grad(made.pow(3).sum(), images, create_graph=True)
    assert calls == ["forward", "transposed"]
    (wanted,) = torch.autograd.grad(expected.pow(3).sum(), images, create_graph=True)
    torch.testing.assert_close(gradient, wanted)
    found, other = (torch.autograd.grad(each.square().sum(), images)[0] for each in (gradient, wanted))
    torch.testing.assert_close(found, other)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("shape", [(3, 32, 32, 2), (3, 64, 64, 2), (1, 28, 28, 2), (3, 6, 9, 3)])
    def test_values_and_gradients(self, shape):
        from tests.transforms.partition_on_gpu import check

        *image, factor = shape
        assert partition_gpu.gpu_kernel(torch.float32, factor, *image[1:]), "it must compile here: see the log"
        check(torch.device("cuda"), shape, torch.float32, 1e-5)
        check(torch.device("cuda"), shape, torch.float64, 1e-12)
