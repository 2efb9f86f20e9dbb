"""The fused block against PyTorch's layers, and what happens where it cannot be compiled."""

import logging
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bacon.networks.convnet import ConvNet
from bacon.networks.kernels import block, native
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.settings.network import NetworkSettings

ROOT = Path(__file__).parents[2]


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def made(channels, dtype=torch.float64):
    layer = InstanceNormReluPool(channels, dtype=dtype)
    layer.weight.data, layer.bias.data = draw(channels, seed=1, dtype=dtype), draw(channels, seed=2, dtype=dtype)
    return layer


def plain(layer, x):
    return F.avg_pool2d(F.relu(F.group_norm(x, x.shape[1], layer.weight, layer.bias, layer.eps)), 2)


@pytest.fixture
def poisoned(monkeypatch):
    """New tensors hold NaN, so an element that the kernel leaves out is seen."""

    def poison(make):
        return lambda *args, **kwargs: make(*args, **kwargs).fill_(float("nan"))

    monkeypatch.setattr(torch.Tensor, "new_empty", poison(torch.Tensor.new_empty))
    monkeypatch.setattr(torch, "empty_like", poison(torch.empty_like))


needs_compiler = pytest.mark.usefixtures("compiled")


@pytest.fixture
def compiled():
    assert block.kernel() is not None, "the test machine has a C compiler"


SIZES = [(2, 2), (4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (6, 10), (2, 8), (128, 12), (6, 16), (2, 48)]


@pytest.mark.usefixtures("compiled", "poisoned")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [5, 8])  # one map at a time, and four together
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 3e-4)])
def test_forward_and_backward_equal_the_layers(size, channels, dtype, tolerance):
    layer, x = made(channels, dtype), draw(3, channels, *size, seed=3, dtype=dtype).mul_(3).add_(1).requires_grad_()
    inputs = (x, layer.weight, layer.bias)
    ours, theirs = layer(x), plain(layer, x)
    gradient = draw(*theirs.shape, seed=4, dtype=dtype)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
    ):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
    with torch.no_grad():
        assert torch.equal(layer(x), ours)


@needs_compiler
def test_a_frozen_layer_passes_the_gradient_of_its_maps():
    layer, x = made(4).requires_grad_(False), draw(2, 4, 8, 8, seed=3).requires_grad_()
    gradient = draw(2, 4, 4, 4, seed=4)
    torch.testing.assert_close(
        *(torch.autograd.grad(f(x), x, gradient)[0] for f in (layer, lambda x: plain(layer, x))), rtol=0, atol=1e-12
    )


@needs_compiler
def test_it_can_be_differentiated_twice():
    layer, x = made(3), draw(2, 3, 4, 4, seed=3).requires_grad_()

    def squared_gradient(function):
        (first,) = torch.autograd.grad(function(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x, layer.weight, layer.bias))

    for mine, other in zip(squared_gradient(layer), squared_gradient(lambda x: plain(layer, x)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@needs_compiler
def test_maps_of_any_layout_and_a_gradient_of_any_layout():
    layer, x = made(4), draw(2, 4, 8, 8, seed=3)
    ordinary = layer(x)
    assert torch.equal(layer(x.contiguous(memory_format=torch.channels_last)), ordinary)
    y = x.clone().requires_grad_()
    gradient = draw(2, 4, 4, 4, seed=4)
    found = [
        torch.autograd.grad(layer(y), y, g)[0]
        for g in (gradient, gradient.contiguous(memory_format=torch.channels_last))
    ]
    assert torch.equal(*found)


@needs_compiler
@pytest.mark.parametrize("channels", [6, 8])
def test_threads_change_no_bit(channels):
    layer, x = made(channels, torch.float32), draw(7, channels, 8, 8, seed=3, dtype=torch.float32).requires_grad_()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            pooled = layer(x)
            found.append((pooled, *torch.autograd.grad(pooled.square().sum(), (x, layer.weight, layer.bias))))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@needs_compiler
@pytest.mark.parametrize("channels", [2, 4])
def test_nan_and_constant_maps(channels):
    layer, x = made(channels), draw(1, channels, 4, 4, seed=3)
    x[0, 0] = 5.0
    torch.testing.assert_close(layer(x), plain(layer, x), rtol=0, atol=1e-12)
    x[0, 1, 0, 0] = float("nan")
    pooled = layer(x)
    assert pooled[0, 1].isnan().all()
    assert not pooled[0, 0].isnan().any()


@needs_compiler
@pytest.mark.parametrize("size", [3 * 2, 8, 16])
def test_nothing_passes_where_the_normalised_map_is_exactly_zero(size):
    layer, x = made(4), draw(2, 4, size, size, seed=3)
    layer.weight.data.zero_(), layer.bias.data.zero_()
    gradients = torch.autograd.grad(layer(x).sum(), (layer.weight, layer.bias))
    assert all(not gradient.any() for gradient in gradients)


def test_odd_and_large_maps_use_the_layers(monkeypatch):
    monkeypatch.setattr(block, "_forward", None)
    layer = made(2)
    for size in ((5, 4), (4, 7), (130, 2)):
        x = draw(1, 2, *size, seed=3)
        torch.testing.assert_close(layer(x), plain(layer, x), rtol=0, atol=1e-12)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    return tmp_path


def test_compiled_once_and_kept(cache, monkeypatch):
    source = {"test.c": '#include "other.c"\n', "other.c": "int answer(void) { return 42; }\n"}
    assert native.load("test", source, {}).answer() == 42
    assert len(list(cache.rglob("*.so"))) == 1
    monkeypatch.setattr(native, "_compile", None)
    assert native.load("test", source, {}).answer() == 42


@pytest.mark.usefixtures("cache")
def test_what_is_compiled_is_the_text_of_every_file_and_the_constants():
    files = {"test.c": '#include "other.c"\n', "other.c": "int answer(void) { return A; }\n"}
    other = files | {"other.c": "int answer(void) { return 1 + A; }\n"}
    answers = [
        native.load("test", *given).answer() for given in ((files, {"A": 1}), (files, {"A": 5}), (other, {"A": 1}))
    ]
    assert answers == [1, 5, 2]


def test_the_sources_ship_with_the_package():
    """All C files that the kernel is made of, and no other, are package data."""
    folder = resources.files("bacon.networks.kernels")
    assert sorted(block.SOURCES) == sorted(file.name for file in folder.iterdir() if file.name.endswith(".c"))
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["bacon"]
    package = ROOT / "bacon"
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    assert {package / "networks" / "kernels" / name for name in block.SOURCES} <= shipped


@pytest.mark.usefixtures("cache")
def test_without_a_compiler_one_line_says_so(monkeypatch, caplog):
    monkeypatch.setenv("CC", "no-such-compiler")
    with caplog.at_level(logging.INFO):
        assert native.load("test", {"test.c": ""}, {}) is None
    (record,) = caplog.records
    assert "no C compiler" in record.message


def test_a_source_that_does_not_compile_is_reported_and_leaves_nothing(cache, caplog):
    with caplog.at_level(logging.INFO):
        assert native.load("test", {"test.c": "this is not C"}, {}) is None
    assert "cannot compile" in caplog.text
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_without_the_kernel_gradients_and_their_gradients_are_the_layers(monkeypatch):
    layer, x = made(3), draw(2, 3, 4, 4, seed=3).requires_grad_()
    monkeypatch.setattr(block, "kernel", lambda: None)
    found = []
    for function in (layer, lambda x: plain(layer, x)):
        inputs = (x, layer.weight, layer.bias)
        first = torch.autograd.grad(function(x).square().sum(), inputs, create_graph=True)
        found.append([*first, *torch.autograd.grad(first[0].square().sum(), inputs)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def test_without_the_kernel_networks_give_the_same(monkeypatch):
    network = ConvNet(NetworkSettings(width=6, depth=2), channels=1, size=8, classes=3, dtype=torch.float64)
    x = draw(4, 1, 8, 8)
    fused = network(x)
    monkeypatch.setattr(block, "kernel", lambda: None)
    monkeypatch.setattr(block, "_forward", None)
    torch.testing.assert_close(network(x), fused, rtol=0, atol=1e-12)
