"""ConvNet against its formula, its sizes, and its initialisation from explicit draws."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from bacon.networks.build import build_network
from bacon.networks.convnet import ConvNet
from bacon.networks.kernels.pooling import AveragePool
from bacon.runtime.errors import BaconError
from bacon.settings.network import NetworkSettings
from bacon.training.sgd import Sgd

CPU = torch.device("cpu")


def build(*, channels=3, size=32, classes=10, seed=0, dtype=torch.float32, purpose="network", index=0, **settings):
    return build_network(
        NetworkSettings(**settings),
        channels=channels,
        size=size,
        classes=classes,
        seed=seed,
        purpose=purpose,
        index=index,
        device=CPU,
        dtype=dtype,
    )


@pytest.mark.parametrize(
    ("size", "depth", "width", "expected"),
    [(32, 3, 128, 2048), (64, 3, 128, 8192), (64, 4, 128, 2048), (16, 3, 32, 128)],
)
def test_embedding_size(size, depth, width, expected):
    network = build(size=size, depth=depth, width=width)
    assert network.embedding_size == expected
    assert network.embed(torch.randn(2, 3, size, size)).shape == (2, expected)


def test_parameter_count_of_the_paper_network():
    assert sum(parameter.numel() for parameter in build().parameters()) == 320_010


def test_grey_28_pixel_images_are_padded_to_32_pixel_maps():
    network = build(channels=1, size=28)
    assert network.embedding_size == 2048
    maps = network.features[0](torch.zeros(1, 1, 28, 28))
    assert maps.shape[-2:] == (32, 32)
    assert network(torch.randn(2, 1, 28, 28)).shape == (2, 10)


# What each norm averages over, of maps viewed as (N, groups, channels of a group, H, W).
NORM_GROUPS = {"instance": 8, "group": 4, "layer": 1}


def normalise(x: torch.Tensor, norm: str, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    groups = NORM_GROUPS.get(norm, c)
    grouped = x.view(n, groups, c // groups, h, w)
    dims = (0, 2, 3, 4) if norm == "batch" else (2, 3, 4)
    mean = grouped.mean(dim=dims, keepdim=True)
    variance = (grouped - mean).square().mean(dim=dims, keepdim=True)
    standard = ((grouped - mean) / (variance + 1e-5).sqrt()).view(n, c, h, w)
    shape = (c, h, w) if norm == "layer" else (c, 1, 1)
    return standard * weight.view(shape) + bias.view(shape)


def reference(network: ConvNet, x: torch.Tensor, norm: str, activation, pool) -> torch.Tensor:
    """Logits by docs/algorithms.md for width 8 and depth 3, each norm written out."""
    parameters = iter(network.parameters())
    for block in range(3):
        padding = 3 if block == 0 and x.shape[-1] == 28 else 1
        x = F.conv2d(x, next(parameters), next(parameters), padding=padding)
        if norm != "none":
            x = normalise(x, norm, next(parameters), next(parameters))
        x = pool(activation(x))
    return x.flatten(1) @ next(parameters).T + next(parameters)


def randomise_norms(network: ConvNet) -> None:
    generator = torch.Generator().manual_seed(1)
    for name, parameter in network.named_parameters():
        if not name.startswith("classifier") and parameter.dim() != 4:
            parameter.data.normal_(generator=generator)


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group", "none"])
@pytest.mark.parametrize("size", [16, 28])
def test_forward_follows_the_formula_for_every_norm(norm, size):
    network = build(channels=1, size=size, width=8, norm=norm, dtype=torch.float64)
    randomise_norms(network)
    x = torch.randn(5, 1, size, size, dtype=torch.float64)
    expected = reference(network, x, norm, torch.relu, lambda maps: F.avg_pool2d(maps, 2))
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "function"),
    [("relu", torch.relu), ("leaky_relu", F.leaky_relu), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)],
)
@pytest.mark.parametrize(
    ("pooling", "pool"),
    [("avg", lambda x: F.avg_pool2d(x, 2)), ("max", lambda x: F.max_pool2d(x, 2)), ("none", lambda x: x)],
)
def test_activations_and_poolings(name, function, pooling, pool):
    network = build(channels=2, size=8, width=8, activation=name, pooling=pooling, dtype=torch.float64)
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    expected = reference(network, x, "instance", function, pool)
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-10)


def test_forward_is_classify_of_embed():
    network = build(width=8)
    x = torch.randn(4, 3, 32, 32)
    assert torch.equal(network(x), network.classify(network.embed(x)))


def test_network_is_differentiable_in_images_and_parameters():
    network = build(channels=1, size=8, width=2, depth=2, classes=3, dtype=torch.float64)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, x)
    assert all(gradient is not None for gradient in torch.autograd.grad(network(x).sum(), list(network.parameters())))


@pytest.mark.parametrize("size", [9, 15, 20])
def test_sizes_that_do_not_halve_evenly_round_down(size):
    network = build(channels=1, size=size, width=8, dtype=torch.float64)
    x = torch.randn(2, 1, size, size, dtype=torch.float64)
    assert network.embedding_size == 8 * (size // 8) ** 2
    expected = reference(network, x, "instance", torch.relu, lambda maps: F.avg_pool2d(maps, 2))
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-10)


def test_too_deep_for_the_images():
    with pytest.raises(BaconError, match=r"network.depth: 5 blocks.*16x16.*1 to 4"):
        build(size=16, depth=5)
    assert build(size=16, depth=4, width=4).embedding_size == 4
    assert build(size=16, depth=5, width=4, pooling="none").embedding_size == 4 * 256


def test_group_norm_needs_a_width_that_divides():
    with pytest.raises(BaconError, match=r"network.width: 6 channels"):
        build(width=6, norm="group")


# Initialisation


def test_initialisation_is_pytorch_default():
    network = build()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in (module.weight, module.bias):
                assert parameter.abs().max() <= bound
                assert parameter.abs().max() > 0.8 * bound
            # Uniform over (-b, b): variance b^2 / 3, kurtosis 9/5.
            scaled = (module.weight / bound).flatten().double()
            assert abs(scaled.mean()) < 5 / math.sqrt(3 * len(scaled))
            assert abs(scaled.square().mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / len(scaled))
        elif isinstance(module, torch.nn.GroupNorm):
            assert torch.equal(module.weight, torch.ones(128))
            assert torch.equal(module.bias, torch.zeros(128))


def test_initialisation_matches_the_spread_of_a_pytorch_network():
    ours, theirs = build(), ConvNet(NetworkSettings(), channels=3, size=32, classes=10)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert a.shape == b.shape
        if a.numel() > 1000:
            assert float((a.std() / b.std()).detach()) == pytest.approx(1, abs=0.1), name


def test_parameters_are_not_correlated_with_each_other():
    network = build(width=32)
    flat = [parameter.detach().flatten()[:1000] for parameter in network.parameters() if parameter.numel() >= 1000]
    assert abs(float(torch.corrcoef(torch.stack(flat))[0, 1])) < 5 / math.sqrt(1000)


def same(a: ConvNet, b: ConvNet) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_initialisation_is_keyed():
    first = build(width=8)
    assert same(first, build(width=8))
    assert not same(first, build(width=8, seed=1))
    assert not same(first, build(width=8, seed=(0, 0)))
    assert not same(first, build(width=8, index=1))
    assert not same(first, build(width=8, purpose="other"))


def test_initialisation_is_the_same_in_every_dtype():
    single, double = build(width=8), build(width=8, dtype=torch.float64)
    for a, b in zip(single.parameters(), double.parameters(), strict=True):
        assert b.dtype == torch.float64
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-7)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_building_leaves_the_global_generator_alone(norm):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    build(width=8, norm=norm)
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_norm_buffers_start_as_pytorch_says():
    norm = build(width=8, norm="batch").features[1]
    assert torch.equal(norm.running_mean, torch.zeros(8))
    assert torch.equal(norm.running_var, torch.ones(8))
    assert int(norm.num_batches_tracked) == 0


# Pooling and SGD


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 1, 2, 2), (2, 1, 5, 4), (2, 2, 7, 7)])
def test_average_pool_is_pytorchs(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    ours, theirs = AveragePool()(x), F.avg_pool2d(x, 2)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    gradient = torch.randn_like(ours)
    (a,), (b,) = (torch.autograd.grad(out, x, gradient) for out in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(AveragePool(), x)
    assert torch.autograd.gradgradcheck(AveragePool(), x)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_pytorchs(momentum):
    ours, theirs = build(width=4), build(width=4)
    mine = Sgd(ours.parameters(), lr=0.1, momentum=momentum, weight_decay=0.01)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=momentum, weight_decay=0.01, fused=True)
    for step in range(4):
        x = torch.full((2, 3, 32, 32), float(step)) + torch.linspace(-1, 1, 32)
        mine.step(torch.autograd.grad(ours(x).square().mean(), mine.parameters))
        reference.zero_grad()
        theirs(x).square().mean().backward()
        reference.step()
    assert same(ours, theirs)
