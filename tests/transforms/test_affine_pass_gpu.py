"""The pass's Triton kernel: interpreted on the CPU, compiled for a GPU that is not here, and run where there is one."""

import pytest
import torch

from bacon.transforms import affine_pass, affine_pass_gpu
from tests.triton_kernels import (
    check_compiled,
    check_interpreted,
    logged_where_it_cannot_be_compiled,
    needs_triton,
    on_a_gpu,
)

GPU = torch.device("cuda")

COMPILE = """
import os, re, subprocess, tempfile
import torch, triton, triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.transforms import affine_pass_triton

DUMP = os.path.join(os.path.dirname(triton.backends.nvidia.__file__), "bin", "cuobjdump")
MOST_REGISTERS = {"fp32": 64, "fp64": 168}  # of a thread: eight programs of a multiprocessor, three in float64

for function, own in (
    (affine_pass_triton._forward, {"CONSTANT": True, "EDGE": False}),
    (affine_pass_triton._forward, {"CONSTANT": True, "EDGE": True}),
    (affine_pass_triton._transposed, {}),
):
    for kind, shape in (("fp32", (3, 32, 32)), ("fp32", (3, 64, 64)), ("fp32", (1, 28, 28)), ("fp64", (3, 6, 9))):
        constants = own | affine_pass_triton.launch(torch.empty(2, 1, *shape, device="meta"))[2]
        options = {"num_warps": constants.pop("num_warps")}
        pointers = ("images", "numbers", "out", "gradient")
        signature = {name: "*" + kind if name in pointers else "constexpr" if name in constants else "i32"
                     for name in function.arg_names}
        aligned = {(i,): [["tt.divisibility", 16]] for i, type in enumerate(signature.values()) if type[0] == "*"}
        source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=aligned)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(made.asm["cubin"])
            file.flush()
            used = subprocess.run([DUMP, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
        registers, spilled = (int(re.search(what + ":([0-9]+)", used)[1]) for what in ("REG", "STACK"))
        assert registers <= MOST_REGISTERS[kind] and spilled == 0, (function, kind, shape, used)
        assert "convert_layout" not in made.asm["ttgir"], "threads exchange what they could compute or read themselves"
        assert shape[1:] == (6, 9) or "ld.global.v4" in made.asm["ptx"], "means are read 16 bytes at a time"
"""


@needs_triton
def test_the_interpreted_kernel_equals_the_operations():
    check_interpreted("tests.transforms.affine_pass_on_gpu")


@needs_triton
def test_the_kernel_compiles_for_a_gpu(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
@pytest.mark.parametrize(
    ("dtype", "channels", "height"), [(torch.float16, 3, 8), (torch.float32, 9, 8), (torch.float32, 3, 1)]
)
def test_images_that_it_does_not_take_are_not_compiled(monkeypatch, dtype, channels, height):
    monkeypatch.setattr(affine_pass_gpu, "_compile", None)
    assert not affine_pass_gpu.gpu_kernel(dtype, channels, height, 8)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_it_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, affine_pass_gpu, lambda: affine_pass_gpu.gpu_kernel(torch.float32, 3, 8, 8)
    )


def test_a_pass_that_the_kernel_takes_goes_through_it(monkeypatch):
    images, numbers = torch.randn(2, 1, 3, 8, 8, requires_grad=True), torch.zeros(2, 14)
    numbers[:, 4::4] = 1
    monkeypatch.setattr(affine_pass, "takes_kernel", lambda _, reach: reach == 1)
    monkeypatch.setattr(affine_pass_gpu, "forward", lambda images, _, constant: images * (5 if constant else 3))
    monkeypatch.setattr(affine_pass_gpu, "transposed", lambda gradient, _: gradient * 3)
    made = affine_pass.affine_pass(images, numbers)
    (gradient,) = torch.autograd.grad(made.pow(2).sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), images)
    torch.testing.assert_close(gradient, 2 * 5 * 3 * images)
    torch.testing.assert_close(second, torch.full_like(second, 2 * 3 * 3))
    plain = affine_pass.affine_pass(images, numbers, reach=2)
    torch.testing.assert_close(plain[:, :, :, :, 1:], images[:, :, :, :, 1:])


def test_a_pass_that_repeats_the_border_goes_through_the_kernel_without_a_gradient(monkeypatch):
    images, numbers = torch.randn(2, 1, 3, 8, 8), torch.zeros(2, 14)
    numbers[:, 4::4] = 1
    monkeypatch.setattr(affine_pass, "takes_kernel", lambda *_: True)
    monkeypatch.setattr(affine_pass_gpu, "forward", lambda images, _, *, edge, **__: images * (5 if edge else 3))
    assert torch.equal(affine_pass.edge_pass(images, numbers), 5 * images)
    torch.testing.assert_close(affine_pass.edge_pass(images.requires_grad_(), numbers), images)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 6, 9)])
    def test_values_and_exactness(self, shape):
        from tests.transforms.affine_pass_on_gpu import check, check_exact

        assert affine_pass_gpu.gpu_kernel(torch.float32, *shape), "it must compile here: see the log"
        check(GPU, shape, torch.float32, 1e-3)
        check_exact(GPU)

    def test_neither_the_division_of_images_nor_a_neighbour_changes_them(self, monkeypatch):
        from tests.transforms.affine_pass_on_gpu import check_division, check_not_numbers

        assert affine_pass_gpu.gpu_kernel(torch.float32, 3, 32, 32), "it must compile here: see the log"
        check_not_numbers(GPU)
        check_division(GPU, monkeypatch, (3, 32, 32), 8)

    def test_it_can_be_recorded_and_replayed_with_other_numbers(self):
        from bacon.transforms.dsa import augment_by_numbers, siamese_numbers

        images, classes = torch.randn(10, 4, 3, 32, 32, device=GPU), torch.arange(10, device=GPU)
        strategy = "color_crop_cutout_flip_scale_rotate"
        each = [siamese_numbers(strategy, 0, i, classes, height=32, width=32).float() for i in range(3)]
        numbers = each[0].clone()
        assert affine_pass_gpu.gpu_kernel(torch.float32, 3, 32, 32)
        augment_by_numbers(images, numbers)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = augment_by_numbers(images, numbers)
        for given in each:
            numbers.copy_(given)
            graph.replay()
            assert torch.equal(made, augment_by_numbers(images, given))
