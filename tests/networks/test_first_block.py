"""The whole first block as one compiled pass against PyTorch's layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bacon.networks.convnet import ConvNet
from bacon.networks.kernels import block, first
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.kernels.first import first_block
from bacon.settings.network import NetworkSettings
from tests.networks.test_block import draw, poisoned  # noqa: F401

TOLERANCES = [(torch.float64, 1e-11), (torch.float32, 3e-4)]


@pytest.fixture(autouse=True)
def _compiled(request):
    if "without_kernel" not in request.fixturenames:
        assert block.kernel() is not None, "the test machine has a C compiler"


@pytest.fixture
def without_kernel(monkeypatch):
    for module in (block, first):
        monkeypatch.setattr(module, "kernel", lambda: None)


def made(inputs, channels, padding=1, dtype=torch.float64):
    convolution = nn.Conv2d(inputs, channels, 3, padding=padding, dtype=dtype)
    norm = InstanceNormReluPool(channels, dtype=dtype)
    for seed, parameter in enumerate((*convolution.parameters(), *norm.parameters()), start=1):
        parameter.data = draw(*parameter.shape, seed=seed, dtype=dtype)
    return convolution, norm


def plain(x, convolution, norm):
    maps = F.conv2d(x, convolution.weight, convolution.bias, padding=convolution.padding)
    return F.avg_pool2d(F.relu(F.group_norm(maps, norm.num_channels, norm.weight, norm.bias, norm.eps)), 2)


def inputs_of(x, convolution, norm):
    return (x, convolution.weight, norm.weight, norm.bias)


# (images, channels of the image, width, side, padding): one and several sums over images, the sizes that are constants
# to the compiler and others, MNIST's padding of three.
SHAPES = [(1, 1, 4, 16, 1), (9, 1, 8, 16, 1), (3, 3, 8, 32, 1), (5, 2, 4, 48, 1), (2, 3, 4, 64, 1), (3, 1, 8, 28, 3)]


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_forward_and_backward_equal_the_layers(shape, dtype, tolerance):
    count, channels, width, side, padding = shape
    modules = made(channels, width, padding, dtype)
    x = draw(count, channels, side, side, seed=9, dtype=dtype).requires_grad_()
    assert first._fits(x, padding, width)
    ours, theirs = first_block(x, *modules), plain(x, *modules)
    gradient = draw(*theirs.shape, seed=4, dtype=dtype)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    found, expected = (torch.autograd.grad(y, inputs_of(x, *modules), gradient) for y in (ours, theirs))
    for mine, other in zip(found, expected, strict=True):
        size = float(other.abs().max())
        assert size > 0
        torch.testing.assert_close(mine / size, other / size, rtol=0, atol=tolerance)
    with torch.no_grad():
        assert torch.equal(first_block(x, *modules), ours)


def test_the_bias_of_the_convolution_has_no_effect_and_no_gradient():
    convolution, norm = made(1, 4)
    x = draw(2, 1, 16, 16, seed=9)
    pooled = first_block(x, convolution, norm)
    (mine,) = torch.autograd.grad(pooled.square().sum(), convolution.bias)
    (other,) = torch.autograd.grad(plain(x, convolution, norm).square().sum(), convolution.bias)
    assert float(mine.abs().max()) == 0
    assert float(other.abs().max()) < 1e-10
    convolution.bias.data += 1
    torch.testing.assert_close(first_block(x, convolution, norm), pooled, rtol=0, atol=1e-11)


def test_a_frozen_block_passes_the_gradient_of_its_images_and_no_other():
    modules = [module.requires_grad_(False) for module in made(3, 4)]
    x = draw(2, 3, 32, 32, seed=9).requires_grad_()
    for function in (first_block, plain):
        pooled = function(x, *modules)
        pooled.backward(draw(*pooled.shape, seed=4))
    assert all(parameter.grad is None for module in modules for parameter in module.parameters())
    y = x.detach().clone().requires_grad_()
    plain(y, *modules).backward(draw(2, 4, 16, 16, seed=4))
    torch.testing.assert_close(x.grad, 2 * y.grad, rtol=0, atol=1e-10)


def test_it_can_be_differentiated_twice():
    modules = made(1, 4)
    x = draw(2, 1, 16, 16, seed=9).requires_grad_()

    def squared_gradient(function):
        (gradient,) = torch.autograd.grad(function(x, *modules).square().sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), inputs_of(x, *modules))

    for mine, other in zip(squared_gradient(first_block), squared_gradient(plain), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def test_threads_change_no_bit():
    modules = made(3, 8, dtype=torch.float32)
    x = draw(11, 3, 32, 32, seed=9, dtype=torch.float32).requires_grad_()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            pooled = first_block(x, *modules)
            found.append((pooled, *torch.autograd.grad(pooled.square().sum(), inputs_of(x, *modules))))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_images_of_any_layout():
    modules = made(3, 4)
    x = draw(2, 3, 32, 32, seed=9)
    assert torch.equal(first_block(x, *modules), first_block(x.contiguous(memory_format=torch.channels_last), *modules))


def test_nan_stays_nan():
    modules = made(1, 4)
    x = draw(2, 1, 16, 16, seed=9)
    x[1, 0, 3, 3] = float("nan")
    pooled = first_block(x, *modules)
    assert pooled[0].isfinite().all()
    assert pooled[1].isnan().all()


@pytest.mark.parametrize(
    ("count", "channels", "width", "side", "dtype"),
    [
        (2, 1, 6, 16, torch.float64),
        (2, 5, 4, 16, torch.float64),
        (2, 1, 4, 8, torch.float32),
        (2, 1, 4, 144, torch.float64),
    ],
)
def test_other_shapes_use_the_layers(monkeypatch, count, channels, width, side, dtype):
    monkeypatch.setattr(first, "_forward", None)
    modules = made(channels, width, dtype=dtype)
    x = draw(count, channels, side, side, seed=9, dtype=dtype)
    torch.testing.assert_close(first_block(x, *modules), plain(x, *modules), rtol=0, atol=1e-4)


@pytest.mark.usefixtures("without_kernel")
def test_without_the_kernel_the_layers_are_used():
    modules = made(1, 4)
    x = draw(2, 1, 16, 16, seed=9)
    torch.testing.assert_close(first_block(x, *modules), plain(x, *modules), rtol=0, atol=1e-12)


def test_a_network_embeds_through_it(monkeypatch):
    network = ConvNet(NetworkSettings(width=8, depth=2), channels=3, size=16, classes=3, dtype=torch.float64)
    x = draw(4, 3, 16, 16)
    fused, used = network.embed(x), []
    monkeypatch.setattr("bacon.networks.convnet.first_block", lambda x, *modules: used.append(1) or plain(x, *modules))
    torch.testing.assert_close(network.embed(x), fused, rtol=0, atol=1e-12)
    assert used == [1]
    torch.testing.assert_close(network.features(x).flatten(1), fused, rtol=0, atol=1e-12)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_on_the_convolution_hear_of_it(register):
    """G-VBSM matches what convolutions are given."""
    network = ConvNet(NetworkSettings(width=16, depth=1), channels=3, size=16, classes=2, dtype=torch.float64)
    images, heard = draw(2, 3, 16, 16, seed=1), []
    unheard = network.embed(images)
    handle = getattr(network.features[0], register)(lambda _, given, *__: heard.append(given[0]))
    torch.testing.assert_close(network.embed(images), unheard)
    assert len(heard) == 1
    assert heard[0] is images
    handle.remove()
    assert torch.equal(network.embed(images), unheard)
