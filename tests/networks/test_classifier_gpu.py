"""The classifier's kernels: interpreted on the CPU, compiled for a GPU that is not here, and run where there is one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bacon.networks import convnet
from bacon.networks.build import build_network
from bacon.networks.grouped_weights import GroupedWeight
from bacon.networks.kernels import classifier_gpu
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.settings.network import NetworkSettings
from tests.triton_kernels import (
    check_compiled,
    check_interpreted,
    logged_where_it_cannot_be_compiled,
    needs_triton,
    on_a_gpu,
)

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from bacon.networks.kernels import classifier_triton as kernels

products = kernels._partial, kernels._to_maps, kernels._to_weights
numbers = ("count", "classes", "features", "channels", "pixels", "share", "entries")
for maps in ("*fp32", "*bf16"):
    for classes, warps in ((16, kernels._WARPS), (64, kernels._WARPS_OF_MANY)):
        for function in products:
            constants = {"IMAGES": kernels._IMAGES, "CLASSES": classes, "FEATURES": kernels._FEATURES, "LAST": True}
            kinds = dict.fromkeys(numbers, "i32") | {"maps": maps} | ({"out": maps} if function is kernels._to_maps else {})
            signature = {name: "constexpr" if name in constants else kinds.get(name, "*fp32") for name in function.arg_names}
            source = ASTSource(fn=function, signature=signature, constexprs=constants)
            made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
            assert "wgmma" in made.asm["ptx"] or "mma.sync" in made.asm["ptx"], function
            assert made.metadata.shared <= 227 * 1024, (function, made.metadata.shared)
constants = {"PLACES": kernels._SUMMED}
signature = {name: "constexpr" if name in constants else "i32" if name in numbers else "*fp32"
             for name in kernels._summed.arg_names}
assert triton.compile(ASTSource(fn=kernels._summed, signature=signature, constexprs=constants),
                      target=GPUTarget("cuda", 90, 32)).asm["cubin"]
"""


@needs_triton
def test_the_interpreted_kernels_equal_the_layers():
    check_interpreted("tests.networks.classifier_on_gpu")


@needs_triton
def test_the_kernels_compile_for_a_gpu(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_they_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, classifier_gpu, lambda: classifier_gpu.gpu_kernel(torch.float32, 128, 4, 4, 10)
    )
    assert not classifier_gpu.gpu_kernel(torch.float64, 128, 4, 4, 10)
    assert not classifier_gpu.gpu_kernel(torch.float32, 8, 2, 2, 10)


def on_a_gpu_that_is_not_here(monkeypatch):
    """Maps are taken as if they were on a GPU, and the kernels are PyTorch's operations; returns how often they were used."""
    uses = []

    def without_gradients(maps, weight, bias):
        uses.append("forward")
        return F.linear(maps.flatten(1).to(weight.dtype), weight, bias)

    monkeypatch.setattr(classifier_gpu, "without_gradients", without_gradients)
    monkeypatch.setattr(classifier_gpu, "gpu_kernel", lambda *_: True)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(convnet, "first_block", lambda x, *layers: nn.Sequential(*layers)(x))
    monkeypatch.setattr(InstanceNormReluPool, "forward", lambda norm, x: _unfused(norm, x))
    return uses


def _unfused(norm, x):
    return F.avg_pool2d(F.relu(F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)), 2)


def test_a_convnet_on_a_gpu_classifies_its_maps(monkeypatch):
    cpu = torch.device("cpu")
    network = build_network(NetworkSettings(width=8, depth=2), channels=2, size=8, classes=3, seed=0, device=cpu)
    images = torch.randn(5, 2, 8, 8)
    expected = network(images)
    uses = on_a_gpu_that_is_not_here(monkeypatch)
    torch.testing.assert_close(network(images), expected)
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected)
    assert uses == ["forward", "forward"]


def test_weights_of_several_groups_and_autocast_keep_the_layer(monkeypatch):
    monkeypatch.setattr(classifier_gpu, "gpu_kernel", lambda *_: True)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    maps, weight, bias = torch.randn(4, 8, 2, 2), torch.randn(3, 32), torch.randn(3)
    assert classifier_gpu.takes_kernel(maps, weight, bias)
    assert not classifier_gpu.takes_kernel(maps, GroupedWeight.of(weight, 2), bias)
    assert not classifier_gpu.takes_kernel(maps[:, :, ::2], weight, bias)
    assert not classifier_gpu.takes_kernel(maps, weight.double(), bias.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not classifier_gpu.takes_kernel(maps, weight, bias)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize("size", [((5, 32, 4, 4), 10), ((256, 128, 4, 4), 10), ((256, 128, 8, 8), 200)])
    def test_the_kernels_equal_the_layers(self, dtype, layout, size):
        from tests.networks import classifier_on_gpu

        classifier_on_gpu.check(torch.device("cuda"), dtype, *size, layout)

    def test_second_derivatives(self):
        from tests.networks import classifier_on_gpu

        classifier_on_gpu.check_second_derivatives(torch.device("cuda"))

    @pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
    def test_a_network_classifies_its_embedding(self, precision):
        settings = NetworkSettings(width=32, depth=2, precision=precision)
        network = build_network(settings, channels=3, size=16, classes=10, seed=0, device=torch.device("cuda"))
        images = torch.randn(9, 3, 16, 16, device="cuda")
        torch.testing.assert_close(network(images), network.classify(network.embed(images)), rtol=1e-4, atol=1e-4)
