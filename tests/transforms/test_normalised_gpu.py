"""The kernel that normalises images: interpreted on the CPU, compiled for a GPU that is not here, run where there is one."""

import pytest
import torch

from bacon.distillation.real_images import RealImages
from bacon.transforms import normalised_gpu
from tests.distillation.conftest import toy_dataset
from tests.triton_kernels import (
    check_compiled,
    check_interpreted,
    logged_where_it_cannot_be_compiled,
    needs_triton,
    on_a_gpu,
)

# A multiplication and an addition that stay two, so that the bits are those of PyTorch's operations.
COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.transforms import normalised_triton

types = {"images": "*u8", "places": "*i64", "channels": "i32", "size": "i32"}
for gathered in (True, False):
    constants = {"GATHERED": gathered, "PIXELS": 4096}
    function = normalised_triton._normalised
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in function.arg_names}
    source = ASTSource(fn=function, signature=signature, constexprs=constants)
    options = {"num_warps": normalised_triton._MOST_WARPS, "enable_fp_fusion": False}
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert made.asm["cubin"]
    assert "mul" in made.asm["ptx"] and "fma.rn" not in made.asm["ptx"]
"""


@needs_triton
def test_the_interpreted_kernel_equals_the_operations():
    check_interpreted("tests.transforms.normalised_on_gpu")


@needs_triton
def test_the_kernel_compiles_for_a_gpu_without_fused_products(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_it_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, normalised_gpu, lambda: normalised_gpu.gpu_kernel(torch.float32, 3, 8, 8)
    )


@pytest.mark.parametrize("placement", ["device", "host"])
def test_batches_that_the_kernel_takes_go_through_it(monkeypatch, placement):
    real = RealImages(toy_dataset(), device=torch.device("cpu"), placement=placement)
    indices = real.sample_classes(0, "x", iteration=0, classes=[2, 0], size=5)
    expected, calls = real.batch(indices), []

    def normalised(images, places, scale, shift):
        calls.append((len(images), places is None))
        chosen = images if places is None else images[places]
        return chosen.to(scale.dtype) * scale + shift

    monkeypatch.setattr(normalised_gpu, "takes_kernel", lambda *_: True)
    monkeypatch.setattr(normalised_gpu, "normalised", normalised)
    assert torch.equal(real.batch(indices), expected)
    assert calls == [(10, True) if real.is_streamed else (len(real.labels), False)]


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 6, 9)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_bits_are_those_of_the_operations(self, shape, dtype):
        from tests.transforms.normalised_on_gpu import check

        assert normalised_gpu.gpu_kernel(dtype, *shape), "it must compile here: see the log"
        check(torch.device("cuda"), shape, dtype)
