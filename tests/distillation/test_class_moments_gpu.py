"""The kernels of classes' moments: interpreted on the CPU, compiled for a GPU that is not here, run where there is one."""

import pytest
import torch

from bacon.distillation.matching import class_moments_gpu
from bacon.distillation.matching.features import Features, MapFeatures, features_of, joined
from bacon.networks.build import build_network
from bacon.networks.kernels import classifier_gpu
from bacon.settings.network import NetworkSettings
from benchmarks.plain_kernels import PLAIN
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
from bacon.distillation.matching import class_moments_triton as kernels

numbers = ("count", "features", "channels", "pixels")
tiles = ((64, 128), (16, 512))
for maps in ("*bf16", "*fp32"):
    both = {"LAST": True, "REAL": tl.float32}
    launches = [(kernels._moments, kernels._WARPS, both | {"FEATURES": f, "IMAGES": i, "STD": True}) for f, i in tiles]
    sizes = {"FEATURES": kernels._WRITTEN_FEATURES, "IMAGES": kernels._WRITTEN_IMAGES, "ADDED": True}
    launches.append((kernels._to_maps, kernels._WRITTEN_WARPS, both | sizes))
    for function, warps, constants in launches:
        kinds = dict.fromkeys(numbers, "i32") | dict.fromkeys(("maps", "added", "out"), maps)
        signature = {name: "constexpr" if name in constants else kinds.get(name, "*fp32") for name in function.arg_names}
        source = ASTSource(fn=function, signature=signature, constexprs=constants)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
        assert made.asm["cubin"], function
"""


@needs_triton
def test_the_interpreted_kernels_equal_the_operations():
    check_interpreted("tests.distillation.class_moments_on_gpu")


@needs_triton
def test_the_kernels_compile_for_a_gpu(tmp_path):
    check_compiled(COMPILE, tmp_path)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_they_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    logged_where_it_cannot_be_compiled(
        monkeypatch, caplog, class_moments_gpu, lambda: class_moments_gpu.gpu_kernels(torch.float32, 8, 2, 2)
    )


@pytest.fixture
def kernels(monkeypatch):
    """The kernels are used, and are PyTorch's operations; which were called."""
    calls = []

    def noted(name, function):
        def called(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return called

    monkeypatch.setattr(class_moments_gpu, "takes_kernels", lambda *_: True)
    for name, function in PLAIN[class_moments_gpu].items():
        monkeypatch.setattr(class_moments_gpu, name, noted(name, function))
    return calls


def network_of(**settings):
    given = NetworkSettings(width=8, depth=2, **settings)
    device = torch.device("cpu")
    return build_network(given, channels=2, size=8, classes=3, seed=0, device=device, dtype=torch.float64)


def test_features_that_are_maps_equal_flattened_ones_with_all_gradients(kernels):
    network, images = network_of(), torch.randn(6, 2, 8, 8, dtype=torch.float64)
    by_maps = features_of(network, images.requires_grad_(), {"embedding", "logits"}).by_class(3)
    embedding = network.embed(images)
    plain = Features(embedding=embedding, logits=network.classify(embedding)).by_class(3)
    assert isinstance(by_maps, MapFeatures)
    found, expected = (
        (each.mean(), each.classified(network), each.embedding, each.logits) for each in (by_maps, plain)
    )
    weights = [torch.randn(each.shape, dtype=each.dtype) for each in expected]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    for chosen in (slice(None), slice(0, 1), slice(0, 2), slice(1, 4)):
        gradients = [
            torch.autograd.grad(each[chosen], images, weights[chosen], retain_graph=True)[0]
            for each in (found, expected)
        ]
        torch.testing.assert_close(*gradients)
    assert kernels == ["moments", *["to_maps"] * 3], "not where the means are not used"


def test_moments_of_pieces_are_those_of_all_their_images(kernels):
    network, images = network_of(), torch.randn(6, 2, 8, 8, dtype=torch.float64)
    whole = Features(embedding=network.embed(images)).by_class(3).mean_and_std()
    for sizes in ([6], [4, 2]):
        pieces = [features_of(network, some, {"embedding", "logits"}) for some in images.split(sizes)]
        together = joined(pieces)
        assert isinstance(together, MapFeatures)
        torch.testing.assert_close(together.by_class(3).mean_and_std(), whole)
        torch.testing.assert_close(together.logits, network(images))
        first = together.each(lambda tensor: tensor[:3])
        torch.testing.assert_close(first.by_class(3).mean(), whole[0][:1])
    assert kernels.count("moments") == 4


def test_maps_that_the_kernels_do_not_take_are_flattened(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(class_moments_gpu, "gpu_kernels", lambda *_: True)
    maps = torch.randn(4, 8, 2, 2)
    takes = class_moments_gpu.takes_kernels
    assert takes(maps, torch.float32)
    assert takes(maps.bfloat16().to(memory_format=torch.channels_last), torch.float32)
    assert takes(maps.double(), torch.float64)
    assert not takes(maps.bfloat16(), torch.bfloat16)
    assert not takes(maps.bfloat16(), torch.float64)
    assert not takes(maps[:, :, ::2], torch.float32)
    assert not takes(maps.flatten(1), torch.float32)
    assert not takes(maps[:0], torch.float32)
    monkeypatch.undo()
    assert type(features_of(network_of(), torch.randn(2, 2, 8, 8).double(), {"embedding"})) is Features


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize("shape", [(2, 256, 128, 8, 8), (1, 5000, 128, 4, 4), (10, 40, 128, 4, 4), (3, 5, 7, 3, 2)])
    def test_moments_and_gradients(self, dtype, layout, shape):
        from tests.distillation import class_moments_on_gpu

        assert class_moments_gpu.gpu_kernels(dtype, *shape[2:]), "they must compile here: see the log"
        class_moments_on_gpu.check(torch.device("cuda"), shape, dtype, layout)

    def test_second_derivatives(self):
        from tests.distillation import class_moments_on_gpu

        class_moments_on_gpu.check_second_derivatives(torch.device("cuda"))

    @pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
    def test_a_network_is_read_by_maps(self, precision):
        settings = NetworkSettings(width=32, depth=2, precision=precision)
        network = build_network(settings, channels=3, size=16, classes=10, seed=0, device=torch.device("cuda"))
        images = torch.randn(20, 3, 16, 16, device="cuda", requires_grad=True)
        by_maps = features_of(network, images, {"embedding"}).by_class(5)
        plain = Features(embedding=network.embed(images)).by_class(5)
        assert isinstance(by_maps, MapFeatures)
        found, expected = ((each.mean(), each.classified(network)) for each in (by_maps, plain))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        gradients = [
            torch.autograd.grad(sum(part.square().sum() for part in each), images)[0] for each in (found, expected)
        ]
        tolerance = 2e-2 if precision == "bf16" else 1e-3
        largest = float(gradients[1].abs().max())
        torch.testing.assert_close(*gradients, rtol=tolerance, atol=tolerance * largest)


def test_the_classifier_reads_maps_where_features_are_maps(kernels, monkeypatch):
    network, uses = network_of().float(), []

    def classified(maps, weight, bias):
        uses.append(maps.shape)
        return torch.nn.functional.linear(maps.flatten(1), weight, bias)

    monkeypatch.setattr(classifier_gpu, "takes_kernel", lambda *_: True)
    monkeypatch.setattr(classifier_gpu, "classified", classified)
    images = torch.randn(6, 2, 8, 8)
    read = features_of(network, images, {"embedding"}).by_class(2)
    read.mean()
    torch.testing.assert_close(read.classified(network), network.classify(network.embed(images)))
    assert uses == [(6, 8, 2, 2)]
    assert kernels == ["moments"]
