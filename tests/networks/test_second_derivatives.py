"""The block's second derivatives by formula, and the block and whole networks in transforms of ``torch.func``."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, grad, jacrev, jvp, vmap

from bacon.networks.build import build_network
from bacon.networks.kernels import block, first
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.networks.kernels.block_plain import Cotangents, Saved, layers, second_gradients
from bacon.networks.kernels.first import first_block
from bacon.networks.kernels.pooling import AveragePool
from bacon.settings.network import NetworkSettings
from tests.networks.test_block import draw, made, plain

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _compiled():
    assert block.kernel() is not None, "the test machine has a C compiler"


def functional(layer):
    """The layer as a function of maps, weight and bias, through the compiled kernel."""
    return lambda x, weight, bias: block.fused(x, weight, bias, layer.eps)


@pytest.mark.parametrize("size", [(2, 2), (4, 4), (6, 10)])
def test_the_formula_is_the_derivative_of_the_first_derivatives(size):
    layer = made(3)
    inputs = (draw(2, 3, *size, seed=3).requires_grad_(), layer.weight, layer.bias)
    assert torch.autograd.gradcheck(functional(layer), inputs)
    assert torch.autograd.gradgradcheck(functional(layer), inputs, atol=1e-6)


@pytest.mark.parametrize("wanted", [("x",), ("weight",), ("bias",), ("x", "weight", "bias")])
@pytest.mark.parametrize(("size", "dtype", "tolerance"), [(8, torch.float64, 1e-10), (16, torch.float32, 2e-3)])
def test_second_derivatives_equal_the_layers_whichever_first_ones_are_used(wanted, size, dtype, tolerance):
    layer = made(4, dtype)
    x = draw(3, 4, size, size, seed=3, dtype=dtype).mul_(3).add_(1).requires_grad_()
    gradient = draw(3, 4, size // 2, size // 2, seed=4, dtype=dtype).requires_grad_()
    inputs = {"x": x, "weight": layer.weight, "bias": layer.bias}

    def twice(function):
        first_ones = torch.autograd.grad(function(x), [inputs[name] for name in wanted], gradient, create_graph=True)
        score = sum((one * draw(*one.shape, seed=5, dtype=dtype)).sum() for one in first_ones)
        return torch.autograd.grad(score, [*inputs.values(), gradient], allow_unused=True, materialize_grads=True)

    for ours, theirs in zip(twice(layer), twice(lambda x: plain(layer, x)), strict=True):
        scale = float(theirs.abs().max()) or 1.0
        torch.testing.assert_close(ours / scale, theirs / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("missing", [(), ("dx",), ("dweight",), ("dbias",), ("dx", "dweight"), ("dweight", "dbias")])
@pytest.mark.parametrize("size", [(4, 4), (6, 10), (32, 32)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_the_compiled_pass_is_the_formula(size, missing, dtype, tolerance, monkeypatch):
    make = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *args: make(*args).fill_(float("nan")))  # nothing is left out
    x, dx = (draw(3, 5, *size, seed=seed, dtype=dtype) for seed in (1, 2))
    weight, bias, dweight, dbias = (draw(5, seed=seed, dtype=dtype) for seed in (3, 4, 5, 6))
    _, mean, rstd = block._forward(x, weight, bias, 1e-5)
    saved = Saved(x, draw(3, 5, size[0] // 2, size[1] // 2, seed=7, dtype=dtype), weight, bias, mean, rstd, 1e-5)
    given = Cotangents(dx, dweight, dbias)._replace(**dict.fromkeys(missing))
    with torch.no_grad():
        for ours, formula in zip(block._second(saved, given), second_gradients(saved, given), strict=True):
            size_of = float(formula.abs().max()) or 1.0
            torch.testing.assert_close(ours / size_of, formula / size_of, rtol=0, atol=tolerance)


def test_threads_change_no_bit_of_second_derivatives():
    layer, x = made(6, torch.float32), draw(7, 6, 8, 8, seed=3, dtype=torch.float32).requires_grad_()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            (one,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(one.square().sum(), (x, layer.weight)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_the_bias_moves_no_second_derivative_but_by_what_passes():
    layer, x = made(3), draw(2, 3, 4, 4, seed=3).requires_grad_()
    (first_one,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    (by_bias,) = torch.autograd.grad(first_one.square().sum(), layer.bias)
    (theirs,) = torch.autograd.grad(plain(layer, x).square().sum(), x, create_graph=True)
    torch.testing.assert_close(by_bias, torch.autograd.grad(theirs.square().sum(), layer.bias)[0], rtol=1e-9, atol=1e-9)
    assert by_bias.abs().sum() > 0, "through the pooled gradient"


def test_it_can_be_differentiated_three_times():
    layer, x = made(2), draw(2, 2, 4, 4, seed=3).requires_grad_()

    def third(function):
        (one,) = torch.autograd.grad(function(x).pow(3).sum(), x, create_graph=True)
        (two,) = torch.autograd.grad(one.pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(two.square().sum(), (x, layer.weight))

    for ours, theirs in zip(third(layer), third(lambda x: plain(layer, x)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_the_formula_makes_no_pass_through_the_layers(monkeypatch):
    """Neither the block nor, after a convolution, the first block goes through group norm again."""
    convolution = torch.nn.Conv2d(1, 4, 3, padding=1, dtype=torch.float64)
    layer, x = made(4), draw(2, 1, 16, 16, seed=3).requires_grad_()
    monkeypatch.setattr(F, "group_norm", None)
    monkeypatch.setattr(first, "layers", None)
    monkeypatch.setattr(block, "layers", None)
    for function in (lambda x: layer(convolution(x)), lambda x: first_block(x, convolution, layer)):
        (one,) = torch.autograd.grad(function(x).square().sum(), x, create_graph=True)
        (two,) = torch.autograd.grad(one.square().sum(), x)
        assert two.abs().sum() > 0


def test_the_formula_in_float64_for_bfloat16_maps_and_float32_parameters():
    """As a GPU has them: computed in the parameters' type, given back in each tensor's own."""
    x, dx = (draw(2, 3, 4, 4, seed=seed).to(torch.bfloat16) for seed in (1, 2))
    gradient = draw(2, 3, 2, 2, seed=3).to(torch.bfloat16)
    weight, bias = (draw(3, seed=seed).float() for seed in (4, 5))
    exact = x.float()
    mean = exact.mean(dim=(2, 3))
    rstd = (exact.var(dim=(2, 3), unbiased=False) + 1e-5).rsqrt()
    given = Cotangents(dx, draw(3, seed=6).float(), None)
    half = second_gradients(Saved(x, gradient, weight, bias, mean, rstd, 1e-5), given)
    full = second_gradients(
        Saved(exact, gradient.float(), weight, bias, mean, rstd, 1e-5), given._replace(dx=dx.float())
    )
    assert [tensor.dtype for tensor in half] == [torch.bfloat16, torch.float32, torch.bfloat16]
    for rounded, one in zip(half, full, strict=True):
        assert torch.equal(rounded, one.to(rounded.dtype))


# torch.func


def test_per_image_gradients_of_the_layer_by_vmap_and_grad():
    layer, x = made(3), draw(4, 3, 8, 8, seed=3)
    parameters = dict(layer.named_parameters())

    def loss(parameters, image):
        return functional_call(layer, parameters, (image[None],)).square().sum()

    together = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    for number, image in enumerate(x):
        one = torch.autograd.grad(plain(layer, image[None]).square().sum(), list(parameters.values()))
        for ours, theirs in zip(together.values(), one, strict=True):
            torch.testing.assert_close(ours[number], theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", [AveragePool(), made(3)], ids=["pool", "block"])
def test_forward_mode_and_second_derivatives_in_transforms(function):
    x, tangent = draw(2, 3, 4, 4, seed=3), draw(2, 3, 4, 4, seed=4)

    def reference(x):
        return F.avg_pool2d(x, 2) if isinstance(function, AveragePool) else plain(function, x)

    for ours, theirs in zip(jvp(function, (x,), (tangent,)), jvp(reference, (x,), (tangent,)), strict=True):
        torch.testing.assert_close(ours, theirs)

    def twice(f):
        return jacrev(grad(lambda x: f(x).pow(2).sum()))(x)

    torch.testing.assert_close(twice(function), twice(reference), rtol=1e-9, atol=1e-9)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        found = torch.autograd.forward_ad.unpack_dual(function(dual)).tangent
    torch.testing.assert_close(found, jvp(reference, (x,), (tangent,))[1])


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 4, "depth": 2},
        {"width": 4, "depth": 2, "norm": "group", "pooling": "max"},
        {"architecture": "mlp"},
        {"architecture": "lenet"},
    ],
    ids=str,
)
def test_networks_in_transforms_are_what_they_are_outside(settings):
    network = build_network(
        NetworkSettings(**settings), channels=1, size=16, classes=3, seed=0, device=CPU, dtype=torch.float64
    )
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    x, labels = draw(4, 1, 16, 16, seed=1), torch.tensor([0, 1, 2, 0])

    def loss(parameters, x, labels):
        return F.cross_entropy(functional_call(network, parameters, (x,)), labels)

    def outside(*, create_graph=False):
        return torch.autograd.grad(
            F.cross_entropy(network(x), labels), list(network.parameters()), create_graph=create_graph
        )

    for ours, theirs in zip(grad(loss)(parameters, x, labels).values(), outside(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    each = vmap(lambda image, label: loss(parameters, image[None], label[None]))(x, labels)
    torch.testing.assert_close(each.mean(), loss(parameters, x, labels))

    def gradient_norm(parameters):
        return sum(one.square().sum() for one in grad(loss)(parameters, x, labels).values())

    inside = grad(gradient_norm)(parameters).values()
    total = sum(one.square().sum() for one in outside(create_graph=True))
    for ours, theirs in zip(inside, torch.autograd.grad(total, list(network.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_tensors_without_memory_take_the_plain_form():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        layer = InstanceNormReluPool(4)
        assert layer(torch.empty(2, 4, 16, 16)).shape == (2, 4, 8, 8)


def test_without_transforms_the_kernel_is_used(monkeypatch):
    layer, x = made(4), draw(2, 4, 8, 8, seed=3).requires_grad_()
    monkeypatch.setattr(block, "fused", lambda *_: "the kernel")
    assert layer(x) == "the kernel"
    assert torch.is_tensor(vmap(layer)(x[None]))
    torch.testing.assert_close(layers(x, layer.weight, layer.bias, layer.eps), plain(layer, x))
