"""The block's Triton kernels: interpreted on the CPU, compiled for GPUs that are not here, and run where there is one."""

import logging

import pytest
import torch

from bacon.networks.kernels import block_gpu, first, first_gpu
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.kernels.first import first_block
from tests.networks import first_on_gpu, second_on_gpu
from tests.networks.block_on_gpu import (
    LAYOUTS,
    SIZES,
    TOLERANCES,
    check_forward_and_backward,
    check_nan_constant_maps_and_second_derivatives,
    draw,
    plain,
)
from tests.triton_kernels import (
    check_compiled,
    check_interpreted,
    logged_where_it_cannot_be_compiled,
    needs_triton,
    on_a_gpu,
)

GPU = torch.device("cuda")

COMPILE = """
import os, re, subprocess, sys, tempfile
import torch, triton, triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.networks.kernels import block_triton, first_back_triton, first_images_triton, first_moments_triton, first_tiles
from bacon.networks.kernels import first_triton, second_triton, triton_tiles
from bacon.runtime import draws_triton

TYPES = {torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
MAPS = {"x", "pooled", "given", "dx", "by_dx", "by_x", "by_given", "images", "arranged", "gram", "shares"}
DUMP = os.path.join(os.path.dirname(triton.backends.nvidia.__file__), "bin", "cuobjdump")
# Bytes a thread. The tiles fit the registers of Triton 3.8; PyTorch 2.11 brings 3.6, which spills some (docs/speed.md).
MOST_SPILLED = 0 if tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 8) else 256
MOST_LIMITED = 256  # where more programs at a time are worth it: what an image needs after its tiles waits in memory

def compiled(function, dtype, constants, capability=90, **kinds):
    maps, real = "*" + TYPES[dtype], "*fp64" if dtype == torch.float64 else "*fp32"
    options = {"num_warps": constants.pop("num_warps")}
    options |= {"maxnreg": constants.pop("maxnreg")} if "maxnreg" in constants else {}
    signature = {name: "constexpr" if name in constants else kinds.get(name, maps if name in MAPS else real)
                 for name in function.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind[0] == "*"}
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        used = subprocess.run([DUMP, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    spilled = int(re.search(r"STACK:([0-9]+)", used)[1])
    most = MOST_LIMITED if "maxnreg" in options else MOST_SPILLED
    assert capability != 90 or spilled <= most, (function, dtype, constants, used)
    return made.asm["ptx"]

def maps(dtype, side, layout=torch.channels_last):
    return torch.empty(2, 128, side, side, dtype=dtype, device="meta").to(memory_format=layout)

def block(function, numbers, x, capability=90, **layouts):
    return compiled(function, x.dtype, triton_tiles.launch(x, *numbers, **layouts)[1], capability, eps="fp32")

half, last = torch.bfloat16, {"GIVEN_LAST": True}
forward, backward = (block_triton._FORWARD,), (block_triton._BACKWARD_LAST,)
assert "ld.global.v4" in block(block_triton._forward, forward, maps(half, 32))
assert "st.global.v4" in block(block_triton._backward, backward, maps(half, 32), **last)
block(block_triton._backward, backward, maps(torch.float32, 32), **last)
block(block_triton._backward, backward, maps(half, 8), 80, **last)
whole = maps(torch.float64, 16, torch.contiguous_format)
block(block_triton._backward, (block_triton._BACKWARD,), whole, GIVEN_LAST=False)
second = second_triton._NUMBERS, second_triton._PER_THREAD
block(second_triton._second, second, maps(half, 16), **last, DX_LAST=True)
table = {"rows": "i32", "columns": "i32"}
sizes = {"ROWS": triton_tiles._ROWS, "COLUMNS": triton_tiles._COLUMNS, "REAL": triton.language.float32, "num_warps": 4}
compiled(triton_tiles._sum_rows, torch.float32, sizes, **table)

colour, grey = first_tiles.Shape(3, 32, 32, 1, 128), first_tiles.Shape(1, 28, 28, 3, 128)
large = first_tiles.Shape(3, 64, 64, 1, 128)
numbers = {"count": "i32", "together": "i32"}
for shape, dtype, kind, capability in ((colour, half, "bf16", 90), (grey, torch.float32, "tf32", 80)):
    known = shape.constants() | {"LAST": True}
    ptx = compiled(first_triton._forward_once, dtype, known | first_triton.tiles_once(shape), capability)
    assert capability == 80 or "wgmma" in ptx, "the products are on tensor cores"
    back = known | first_back_triton._tiles(shape, kind) | {"FILTERS": True}
    ptx = compiled(first_back_triton._backward, dtype, back, capability, **numbers)
    assert capability == 80 or "wgmma" in ptx, "the products are on tensor cores"
    patches = first_moments_triton.patch_tiles(shape, kind) | {"ONES": shape.spare, "ROUNDED": kind == "bf16"}
    compiled(first_moments_triton._moments_of_patches, dtype, patches, capability)
    tiles = first_moments_triton.map_tiles(shape)
    compiled(first_moments_triton._moments_of_maps, dtype, tiles, capability, count="i32", together="i32", eps="fp32")
    share = known | first_tiles.cut(shape, first_images_triton._SQUARES, first_images_triton._WARPS) | {"PRECISION": "tf32"}
    ptx = compiled(first_images_triton._shares, dtype, share, capability)
    assert capability == 80 or "wgmma" in ptx, "the products are on tensor cores"
    factors = {"CHANNELS": 128, "TOTAL": shape.height * shape.width // 4, "MAPS": first_images_triton._MAPS, "num_warps": 4}
    compiled(first_images_triton._factors, torch.float32, factors, capability, maps="i32")
for dtype in (half, torch.float32):
    small = {name.upper(): size for name, size in colour._asdict().items()} | {"LANES": colour.lanes, "num_warps": 4}
    strides = {f"{what}_{axis}": "i32" for what in ("stride", "filter") for axis in "nchwi"}
    compiled(first_triton._prepare, dtype, small | {"NUMBERS": 1024, "TF32": dtype == torch.float32}, copies="i32", **strides)
    sums = {name: small[name] for name in ("INPUTS", "CHANNELS", "LANES", "num_warps")} | {"ROWS": 256, "COLUMNS": 16}
    compiled(first_back_triton._add_groups, dtype, sums, groups="i32", **strides)
    del small["CHANNELS"]
    small["PIXELS"] = first_images_triton._PIXELS
    ptx = compiled(first_images_triton._add_shares, dtype, small, dx="*fp32", **strides)
    assert "ld.global.v2" in ptx or "ld.global.v4" in ptx, "all numbers of a pixel are read at once"
fp32 = colour.constants() | {"LAST": False} | first_triton.tiles(colour)
compiled(first_triton._forward, torch.float32, fp32, eps="fp32")
share = colour.constants() | first_tiles.cut(colour, first_images_triton._SQUARES, first_images_triton._WARPS)
compiled(first_images_triton._shares, torch.float32, share | {"LAST": False, "PRECISION": "tf32x3"})

kinds = {name: "i32" for name in ("key0", "key1", "blocks", "count", "total")}
kinds |= {name: "*i64" for name in ("lanes", "iteration", "out")}
words = {"COUNTERS": draws_triton._COUNTERS, "num_warps": draws_triton._WARPS}
assert "mul.hi.u32" in compiled(draws_triton._words, torch.float32, words, **kinds)
"""


@needs_triton
def test_the_interpreted_kernels_equal_the_layers():
    check_interpreted("tests.networks.triton_on_cpu", said="the first block too")


@needs_triton
def test_the_kernels_compile_for_gpus_without_spills(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_it_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, block_gpu, lambda: block_gpu.gpu_kernel(torch.float32, 8, 16, 16)
    )


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_second_derivatives_cannot_be_compiled_the_formula_takes_their_place(monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("no ptxas")

    def first(x, gradient, weight, bias, *_):
        """The block's first derivatives by PyTorch's layers."""
        with torch.enable_grad():
            inputs = [tensor.detach().requires_grad_() for tensor in (x, weight, bias)]
            return torch.autograd.grad(plain(*inputs), inputs, gradient)

    monkeypatch.setattr(block_gpu, "_compile_second", broken)
    monkeypatch.setattr(block_gpu, "_backward", first)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    caplog.set_level(logging.INFO)
    x, weight, bias = (
        draw(*shape, seed=seed).requires_grad_() for seed, shape in enumerate([(2, 3, 4, 6), (3,), (3,)])
    )
    gradient = draw(2, 3, 2, 3, seed=3)
    mean, rstd = x.mean(dim=(2, 3)), (x.var(dim=(2, 3), correction=0) + 1e-5).rsqrt()
    inputs = (x, gradient, weight, bias, mean.detach(), rstd.detach())
    for _ in range(2):
        by_kernel = torch.autograd.grad(
            sum(one.square().sum() for one in block_gpu._GpuBackward.apply(*inputs, 1e-5)), (x, weight)
        )
    ones = torch.autograd.grad(plain(x, weight, bias), (x, weight, bias), gradient, create_graph=True)
    expected = torch.autograd.grad(sum(one.square().sum() for one in ones), (x, weight))
    for mine, theirs in zip(by_kernel, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    (record,) = caplog.records
    assert "second derivatives" in record.getMessage()


@pytest.mark.usefixtures("forgotten_kernels")
@pytest.mark.parametrize(
    ("dtype", "height", "width"), [(torch.float16, 8, 8), (torch.float32, 7, 8), (torch.float32, 8, 258)]
)
def test_maps_that_it_does_not_take_are_not_compiled(monkeypatch, dtype, height, width):
    monkeypatch.setattr(block_gpu, "_compile", None)
    assert not block_gpu.gpu_kernel(dtype, 8, height, width)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_the_first_block_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, first_gpu, lambda: first_gpu.gpu_first("tf32", 3, 32, 32, 1, 8)
    )


@pytest.mark.usefixtures("forgotten_kernels")
@pytest.mark.parametrize(
    ("inputs", "rows", "columns", "padding"), [(5, 8, 8, 1), (3, 7, 8, 1), (3, 8, 258, 1), (3, 8, 8, 0)]
)
def test_images_that_the_first_block_does_not_take_are_not_compiled(monkeypatch, inputs, rows, columns, padding):
    monkeypatch.setattr(first_gpu, "_compile", None)
    assert not first_gpu.gpu_first("tf32", inputs, rows, columns, padding, 8)


def test_the_arithmetic_of_the_first_block_is_that_of_its_convolution(monkeypatch):
    x = torch.zeros(1, 3, 8, 8)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert first_gpu.arithmetic(x) == "tf32"
    assert first_gpu.arithmetic(x.double()) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert first_gpu.arithmetic(x) == "bf16"
        assert first_gpu.arithmetic(x.double()) is None
    with torch.autocast("cpu", torch.float16):
        assert first_gpu.arithmetic(x) is None
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert first_gpu.arithmetic(x) == "fp32"
    assert first_gpu.fits_gpu(x, torch.zeros(8, 3, 3, 3).double(), 1) is None


@pytest.mark.parametrize(("kind", "mantissa"), [("tf32", 11), ("bf16", 8)])
def test_rounding_alone_does_not_fail_the_checks_of_the_first_block(kind, mantissa, monkeypatch):
    """Layers whose factors are rounded stand in for the kernels, at a size of which some signs hang on rounding."""

    def rounded(tensor):
        digits, exponent = torch.frexp(tensor.detach())
        return tensor + (torch.ldexp(torch.round(digits * 2**mantissa) / 2**mantissa, exponent) - tensor.detach())

    def layers(inputs, padding, *_):
        x, filters, weight, bias = inputs
        return first_on_gpu.plain(rounded(x), rounded(filters), weight, bias, padding).to(first_on_gpu.PRODUCTS[kind])

    monkeypatch.setattr(first_on_gpu, "fused", layers)
    monkeypatch.setattr(first_on_gpu, "without_gradients", lambda *given: layers(given[:4], given[5]))
    first_on_gpu.check_first_block(torch.device("cpu"), kind, (9, 3, 32, 32, 1, 32), LAYOUTS[0])


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

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("size", [(8, 8), (16, 16), (32, 32), (64, 64), (6, 10)])
    @pytest.mark.parametrize("dtype", second_on_gpu.TOLERANCES)
    def test_second_derivatives(self, dtype, size, layout):
        second_on_gpu.check_second(GPU, dtype, size, layout, images=35, channels=64)

    def test_derivatives_of_every_order(self):
        second_on_gpu.check_derivatives_of_every_order(GPU)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize(
        "shape",
        [
            (260, 3, 32, 32, 1, 128),
            (35, 1, 28, 28, 3, 128),
            (9, 3, 64, 64, 1, 40),
            (2, 3, 224, 224, 1, 32),
            (3, 2, 6, 10, 1, 5),
        ],
    )
    @pytest.mark.parametrize("kind", first_on_gpu.TOLERANCES)
    def test_the_first_block(self, kind, shape, layout):
        first_on_gpu.check_first_block(GPU, kind, shape, layout)
        first_on_gpu.check_each_gradient_alone(GPU, kind, shape)

    @pytest.mark.parametrize("kind", first_on_gpu.TOLERANCES)
    def test_second_derivatives_of_the_first_block(self, kind):
        first_on_gpu.check_second_derivatives_of_the_first_block(GPU, kind, (5, 3, 32, 32, 1, 16))

    def test_the_convolution_and_its_bias(self):
        first_on_gpu.check_the_convolution_and_its_bias(GPU)

    def test_nan_and_constant_images(self):
        first_on_gpu.check_nan_and_constant_images(GPU)

    @pytest.mark.parametrize("kind", ["bf16", "tf32"])
    def test_moments_of_maps(self, kind):
        first_on_gpu.check_moments_of_maps(GPU, kind)
        first_on_gpu.check_nan_and_constant_images_of_few_digits(GPU, kind)

    @pytest.mark.parametrize("autocast", [False, True])
    def test_the_first_block_of_a_network_uses_it(self, autocast, monkeypatch):
        convolution = torch.nn.Conv2d(3, 16, 3, padding=1, device=GPU)
        norm, x = InstanceNormReluPool(16, device=GPU), torch.randn(4, 3, 32, 32, device=GPU)
        monkeypatch.setattr(first, "first_on_gpu", lambda *_: "the kernel")
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=autocast):
            assert first_block(x, convolution, norm) == "the kernel"
