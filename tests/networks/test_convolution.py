"""Convolutions that keep their precision in every derivative, and biases that an instance norm cancels.

On a CPU precisions do not differ, so what counts is which one PyTorch's switch holds whenever a convolution is launched.
"""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from bacon.networks import convolution
from bacon.networks.arithmetic import arithmetic_of, tf32_allowed, tf32_set
from bacon.networks.build import build_network, empty_network
from bacon.networks.convolution import Convolution, ConvolutionForm
from bacon.networks.kernels import block, first
from bacon.networks.network import Network
from bacon.settings.network import NetworkSettings

CPU = torch.device("cpu")
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def as_on_gpu(monkeypatch):
    """Convolutions of float32 take the way that they take on a GPU, and networks set the switch as there."""
    monkeypatch.setattr(convolution, "_on_gpu", lambda _: True)
    monkeypatch.setattr(
        "bacon.networks.network.arithmetic_of",
        lambda precision, cpu: arithmetic_of("bf16", cpu) if precision == "bf16" else tf32_set(precision == "tf32"),
    )


@pytest.fixture
def launched(monkeypatch):
    """What the switch held at each launch: (operation, TF32 allowed), in order."""
    noted = []

    def noting(function, name):
        def call(*args, **kwargs):
            noted.append((name, tf32_allowed()))
            return function(*args, **kwargs)

        return call

    class Operations:
        convolution_backward = staticmethod(noting(torch.ops.aten.convolution_backward, "backward"))

    class Functional:
        conv2d = staticmethod(noting(F.conv2d, "forward"))

    class Torch:
        ops = type("ops", (), {"aten": Operations})

        def __getattr__(self, name):
            return getattr(torch, name)

    monkeypatch.setattr(convolution, "torch", Torch())
    monkeypatch.setattr(convolution, "F", Functional)
    return noted


def network(precision="tf32", dtype=torch.float32, norm="instance", **changes):
    chosen = NetworkSettings(**{"width": 4, "depth": 2, "norm": norm, "precision": precision} | changes)
    return build_network(chosen, channels=2, size=8, classes=3, seed=0, device=CPU, dtype=dtype)


def pieces():
    x, weight, bias = draw(2, 3, 6, 6), draw(4, 3, 3, 3, seed=1), draw(4, seed=2)
    return [tensor.requires_grad_() for tensor in (x, weight, bias)]


@pytest.mark.parametrize("size", [8, 16])  # the first block is fused from 16 pixels on
def test_second_derivatives_without_the_values_of_the_first(size):
    built = build_network(
        NetworkSettings(width=4, depth=2), channels=2, size=size, classes=3, seed=0, device=CPU, dtype=torch.float64
    )
    weights = list(built.parameters())
    images, directions = draw(3, 2, size, size).requires_grad_(), [draw(*w.shape, seed=3) for w in weights]

    def found():
        value = built(images).square().sum()
        first_order = torch.autograd.grad(value, weights, create_graph=True)
        pairs = zip(first_order, directions, strict=True)  # a bias that is cancelled has a constant gradient
        along = sum((one * direction).sum() for one, direction in pairs)
        return first_order, lambda: torch.autograd.grad(along, [*weights, images], allow_unused=True)

    expected, expected_second = found()
    with convolution.weight_gradients_unread():
        unread, second = found()
    filters = [place for place, each in enumerate(weights) if each.ndim == 4]
    assert filters
    assert all(not unread[place].any() and expected[place].any() for place in filters)
    for one, other in zip(second(), expected_second(), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    again, _ = found()
    assert all(torch.equal(one, other) for one, other in zip(again, expected, strict=True)), "outside all is computed"


def test_what_is_unread_has_third_derivatives_and_is_read_without_a_graph():
    form, orders = ConvolutionForm((1, 1), (1, 1), (1, 1), 1, tf32=False), []
    for unread in (False, True):
        x, weight, bias = pieces()
        with convolution.weight_gradients_unread() if unread else nullcontext():
            value = convolution._maps(x, weight, bias, form).pow(3).sum()
            (plain,) = torch.autograd.grad(value, weight, retain_graph=True)
            (first_order,) = torch.autograd.grad(value, weight, create_graph=True)
        assert bool(first_order.any()) != unread
        (second,) = torch.autograd.grad((first_order * draw(4, 3, 3, 3, seed=3)).sum(), x, create_graph=True)
        orders.append((plain, second, *torch.autograd.grad(second.square().sum(), (x, weight))))
    torch.testing.assert_close(*orders, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [((1, 1), (1, 1), (1, 1)), ((2, 1), (0, 2), (1, 2))])
def test_derivatives_of_any_order_are_those_of_the_layer(stride, padding, dilation):
    form = ConvolutionForm(stride, padding, dilation, 1, tf32=False)
    torch.autograd.gradcheck(lambda *t: convolution._maps(*t, form), pieces(), fast_mode=True)
    torch.autograd.gradgradcheck(lambda *t: convolution._maps(*t, form), pieces(), fast_mode=True)
    orders = []
    for function in (lambda *t: convolution._maps(*t, form), lambda *t: F.conv2d(*t, stride, padding, dilation)):
        given = pieces()
        value, found = function(*given).tanh().square().sum(), []
        for _ in range(3):
            found = torch.autograd.grad(value, given, create_graph=True)
            value = sum(part.square().sum() for part in found)
        orders.append(found)
    for mine, theirs in zip(*orders, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-8)


@pytest.mark.usefixtures("as_on_gpu")
def test_each_network_keeps_its_precision_on_the_way_back(launched):
    """Two networks run, then both are differentiated, twice, while the process has the other precision."""
    x = draw(2, 2, 8, 8, dtype=torch.float32).requires_grad_()
    losses = {}
    for precision in ("tf32", "fp32"):
        before = len(launched)
        losses[precision] = network(precision)(x).square().sum()
        assert {allowed for _, allowed in launched[before:]} == {precision == "tf32"}
    for precision in ("tf32", "fp32"):
        with tf32_set(precision != "tf32"):
            launched.clear()
            (first_order,) = torch.autograd.grad(losses[precision], x, create_graph=True)
            first_order.square().sum().backward()
            assert tf32_allowed() == (precision != "tf32"), "the switch is left as it was found"
        assert {name for name, _ in launched} == {"forward", "backward"}, "second derivatives convolve forward too"
        assert {allowed for _, allowed in launched} == {precision == "tf32"}
    launched.clear()
    with torch.no_grad():
        network("fp32")(x)
    assert set(launched) == {("forward", False)}


@pytest.mark.usefixtures("as_on_gpu")
def test_bfloat16_beside_a_teacher_in_float32(launched):
    teacher, student = network("fp32"), network("bf16")
    x = draw(2, 2, 8, 8, dtype=torch.float32)
    plain = network("fp32")
    loss = (student(x) - teacher(x)).square().mean()
    loss.backward()
    assert {allowed for name, allowed in launched if name == "backward"} == {False}
    alone = (student(x).detach() - plain(x)).square().mean()
    alone.backward()
    for mine, theirs in zip(teacher.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad), "the teacher's arithmetic does not depend on the student's"


@pytest.mark.usefixtures("as_on_gpu")
def test_transforms_keep_the_precision_too(launched):
    ours = network("tf32")
    parameters = dict(ours.named_parameters())
    x, labels = draw(3, 2, 8, 8, dtype=torch.float32), torch.tensor([0, 1, 2])

    def loss(named, image, label):
        return F.cross_entropy(functional_call(ours, named, (image[None],)), label[None])

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, labels)
    assert {name for name, _ in launched} == {"forward", "backward"}
    assert {allowed for _, allowed in launched} == {True}
    for place, (image, label) in enumerate(zip(x, labels, strict=True)):
        each = torch.autograd.grad(loss(parameters, image, label), list(parameters.values()))
        for name, one in zip(parameters, each, strict=True):
            torch.testing.assert_close(found[name][place], one, rtol=1e-4, atol=1e-5)


def test_a_cpu_knows_no_tf32():
    x, results = draw(3, 2, 8, 8, dtype=torch.float32), []
    for precision in ("tf32", "fp32"):
        y = x.clone().requires_grad_()
        ours = network(precision)
        logits = ours(y)
        results.append([logits, *torch.autograd.grad(logits.square().sum(), [y, *ours.parameters()])])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def unmade(architecture, norm):
    """A network without memory."""
    shape = {"channels": 3, "size": 32, "classes": 2, "device": torch.device("meta"), "dtype": torch.float32}
    return empty_network(NetworkSettings(architecture=architecture, norm=norm), **shape)


@pytest.mark.parametrize(
    ("architecture", "norm"), [("vgg11", "instance"), ("resnet18", "instance"), ("vit_tiny", "layer")]
)
def test_convolutions_that_torchvision_makes_are_ours_too(architecture, norm):
    kinds = {type(module) for module in unmade(architecture, norm).modules() if isinstance(module, nn.Conv2d)}
    assert kinds == {Convolution}


# Biases


def oracle(ours, x, parameters):
    """The same network in PyTorch's layers, every bias added."""
    maps = x
    for index, module in enumerate(ours.features):
        weight, bias = (parameters.get(f"features.{index}.{name}") for name in ("weight", "bias"))
        if isinstance(module, nn.Conv2d):
            maps = F.conv2d(maps, weight, bias, module.stride, module.padding)
        elif isinstance(module, nn.GroupNorm):
            maps = F.group_norm(maps, module.num_groups, weight, bias, module.eps)
            if isinstance(module, block.InstanceNormReluPool):
                maps = F.avg_pool2d(F.relu(maps), 2)
        else:
            maps = module(maps)
    return F.linear(maps.flatten(1), parameters["classifier.weight"], parameters["classifier.bias"])


def cancelled(ours: Network):
    return {f"{name}.bias" for name, module in ours.named_modules() if getattr(module, "bias_cancels", False)}


@pytest.mark.parametrize("changes", [{}, {"activation": "swish", "pooling": "max"}], ids=["fused", "layers"])
def test_values_and_gradients_are_those_with_the_bias(changes):
    ours = network(dtype=torch.float64, **changes)
    assert cancelled(ours) == {f"features.{name}.bias" for name, _ in convolutions(ours)}
    x, labels = draw(3, 2, 8, 8).requires_grad_(), torch.tensor([0, 1, 2])
    named = dict(ours.named_parameters())
    results = []
    for function in (ours, lambda images: oracle(ours, images, named)):
        logits = function(x)
        results.append([logits, *torch.autograd.grad(F.cross_entropy(logits, labels), [x, *named.values()])])
    for name, mine, theirs in zip(("logits", "x", *named), *results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")
    for name, gradient in zip(named, results[0][2:], strict=True):
        assert (name in cancelled(ours)) == (float(gradient.abs().max()) == 0), name


def convolutions(ours):
    return [(name, module) for name, module in ours.features.named_modules() if isinstance(module, nn.Conv2d)]


def test_biases_of_vgg_are_left_out_with_instance_norm_alone():
    for norm, number in (("instance", 8), ("batch", 0)):
        assert len(cancelled(unmade("vgg11", norm))) == number


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "none"])
def test_other_norms_keep_the_bias(norm):
    ours = network(norm=norm, dtype=torch.float64, width=8)
    assert cancelled(ours) == set()
    logits = ours(draw(3, 2, 8, 8))
    found = torch.autograd.grad(logits.square().sum(), [module.bias for _, module in convolutions(ours)])
    assert norm == "batch" or all(float(gradient.abs().max()) > 1e-6 for gradient in found)
    before = ours.eval()(draw(3, 2, 8, 8))
    convolutions(ours)[0][1].bias.data[0] += 1
    assert not torch.allclose(ours(draw(3, 2, 8, 8)), before)


def test_the_bias_takes_no_part(monkeypatch):
    """No convolution of the network gets one, and the gradient by it is made of nothing."""
    biases = []
    functional = type(
        "functional", (), {"conv2d": staticmethod(lambda x, w, b, *r: biases.append(b) or F.conv2d(x, w, b, *r))}
    )
    monkeypatch.setattr(convolution, "F", functional)
    for module in (block, first):
        monkeypatch.setattr(module, "kernel", lambda: None)
    ours = network()
    ours(draw(2, 2, 8, 8, dtype=torch.float32)).sum().backward()
    assert biases == [None, None]
    assert all(torch.equal(module.bias.grad, torch.zeros(4)) for _, module in convolutions(ours))


def test_a_frozen_weight_or_bias_takes_no_gradient():
    for frozen in ("weight", "bias"):
        ours = network(dtype=torch.float64)
        _, module = convolutions(ours)[1]
        getattr(module, frozen).requires_grad_(False)
        ours(draw(2, 2, 8, 8)).sum().backward()
        assert getattr(module, frozen).grad is None
        assert getattr(module, "bias" if frozen == "weight" else "weight").grad is not None


def test_second_derivatives_and_unrolled_steps_are_those_with_the_bias():
    ours = network(dtype=torch.float64)
    named = {name: part.detach() for name, part in ours.named_parameters()}
    labels, results = torch.tensor([0, 1, 2]), []
    for function in (lambda parameters, x: functional_call(ours, parameters, (x,)), lambda p, x: oracle(ours, x, p)):
        x = draw(3, 2, 8, 8).requires_grad_()
        weights = {name: part.clone().requires_grad_() for name, part in named.items()}
        start = list(weights.values())
        for _ in range(2):
            loss = F.cross_entropy(function(weights, x), labels)
            steps = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {name: part - 0.1 * step for (name, part), step in zip(weights.items(), steps, strict=True)}
        results.append(torch.autograd.grad(F.cross_entropy(function(weights, x), labels), [x, *start]))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


def test_gradients_in_transforms_are_those_with_the_bias():
    several = [network(dtype=torch.float64), network(dtype=torch.float64).requires_grad_()]
    for number, each in enumerate(several):
        for parameter in each.parameters():
            parameter.data += 0.1 * draw(*parameter.shape, seed=number)
    parameters, _ = stack_module_state(several)
    x, labels = draw(3, 2, 8, 8), torch.tensor([0, 1, 2])
    (one,) = several[:1]

    def loss(function):
        return lambda named: F.cross_entropy(function(named), labels)

    found = vmap(grad(loss(lambda named: functional_call(one, named, (x,)))))(parameters)
    expected = vmap(grad(loss(lambda named: oracle(one, x, named))))(parameters)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-8, atol=1e-10)
        assert (name in cancelled(one)) == (not bool(gradient.detach().any())), name


class TestOnAGpu:
    pytestmark = on_a_gpu

    def results(self, precision, ambient):
        """Logits and gradients of a network that runs and is differentiated while the process has another precision."""
        gpu = torch.device("cuda")
        chosen = NetworkSettings(width=32, depth=3, precision=precision)
        ours = build_network(chosen, channels=3, size=32, classes=3, seed=0, device=gpu)
        x = draw(8, 3, 32, 32, dtype=torch.float32).to(gpu).requires_grad_()
        with tf32_set(ambient):
            logits = ours(x)
        with tf32_set(not ambient):
            (by_x,) = torch.autograd.grad(logits.square().sum(), x, create_graph=True)
            return [logits, by_x, *torch.autograd.grad(by_x.square().sum(), list(ours.parameters()))]

    @pytest.mark.parametrize("precision", ["tf32", "fp32", "bf16"])
    def test_the_process_has_no_part_in_it(self, precision):
        torch.backends.cudnn.deterministic = True
        one, other = (self.results(precision, ambient) for ambient in (False, True))
        assert all(torch.equal(mine, again) for mine, again in zip(one, other, strict=True))

    def test_precisions_differ_in_values_and_in_derivatives(self):
        if torch.cuda.get_device_capability() < (8, 0):
            pytest.skip("no TF32 before compute capability 8.0")
        full, rounded = (self.results(precision, False) for precision in ("fp32", "tf32"))
        for exact, near in zip(full, rounded, strict=True):
            if float(exact.abs().max()) > 0:
                assert 0 < float((near - exact).norm()) < 0.05 * float(exact.norm())
