"""Unrolled SGD: against a loop of PyTorch's own, and constant memory against the naive form, in float64."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from bacon.distillation import unroll as unroll_module
from bacon.distillation.unroll import FlatNetwork, unroll
from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings
from bacon.transforms.dsa import augment_batch

CPU = torch.device("cpu")
PER_STEP = 3


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(size=8, **settings):
    chosen = NetworkSettings(**({"width": 4, "depth": 2} | settings))
    built = build_network(chosen, channels=1, size=size, classes=3, seed=0, device=CPU, dtype=torch.float64)
    return FlatNetwork(built)


def variables(size=8, **rates):
    images, labels = drawn(6, 1, size, size, seed=1), drawn(6, 3, seed=2)
    rate = torch.tensor(rates.get("rate", 0.1), dtype=torch.float64)
    return [each.requires_grad_() for each in (images, labels, rate)]


def batches(step, given):
    """Three of the images, augmented, and the probabilities of their logits."""
    images, labels = given
    some = torch.arange(step * PER_STEP, (step + 1) * PER_STEP) % len(images)
    return augment_batch("color_crop_scale_rotate", images[some], 0, "test", step), labels[some].softmax(dim=1)


def score(weights):
    """Any function of the final weights."""
    factors = torch.linspace(-1, 1, len(weights), dtype=weights.dtype, device=weights.device)
    return (weights * factors).sum() + weights.square().sum()


def gradients(given, *, steps=4, constant_memory, size=8, net=None, start=None, **options):
    net = net or network(size)
    images, labels, rate = given
    start = net.weights() if start is None else start
    final = unroll(
        net, start, batches, (images, labels), rate=rate, steps=steps, constant_memory=constant_memory, **options
    )
    wanted = [each for each in (images, labels, rate, start) if each.requires_grad]
    return final, torch.autograd.grad(score(final), wanted)


def assert_same(ours, theirs, tolerance=1e-10):
    for one, other in zip(ours, theirs, strict=True):
        scale = float(other.abs().max()) or 1.0
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=tolerance)


def plain_gradients(given, steps):
    """A loop written from the formula, with dictionaries of parameters and without the fused layers."""
    net = network().network
    images, labels, rate = given
    parameters = {name: each.detach().clone().requires_grad_() for name, each in net.named_parameters()}
    for step in range(steps):
        some, soft = batches(step, (images, labels))
        loss = -(soft * F.log_softmax(functional_call(net, parameters, (some,)), dim=1)).sum(dim=1).mean()
        found = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        parameters = {
            name: each - (rate if rate.ndim == 0 else rate[step % len(rate)]) * gradient
            for (name, each), gradient in zip(parameters.items(), found, strict=True)
        }
    final = torch.cat([each.reshape(-1) for each in parameters.values()])
    return final, torch.autograd.grad(score(final), given)


@pytest.mark.parametrize("rate", [0.1, [0.1, 0.2, 0.05]])
@pytest.mark.parametrize("constant_memory", [False, True])
def test_it_is_the_loop_that_the_formula_says(rate, constant_memory):
    given = variables(rate=rate)
    final, found = gradients(given, constant_memory=constant_memory)
    expected, theirs = plain_gradients(given, 4)
    torch.testing.assert_close(final, expected, rtol=0, atol=1e-12)
    assert_same(found, theirs)
    assert all(one.abs().max() > 0 for one in found)


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("steps", [1, 5])
def test_constant_memory_gives_the_naive_gradient(norm, steps):
    """On 16 pixels the first block is fused too."""
    given = variables(size=16)
    one, other = (
        gradients(given, steps=steps, constant_memory=way, net=network(16, norm=norm)) for way in (False, True)
    )
    torch.testing.assert_close(one[0], other[0], rtol=0, atol=1e-12)
    assert_same(other[1], one[1])


@pytest.mark.parametrize("steps", [3, 7, 10])
def test_weights_that_are_not_kept_are_computed_again(steps, monkeypatch):
    given = variables(rate=[0.1, 0.2, 0.05])
    _, every = gradients(given, steps=steps, constant_memory=True)
    monkeypatch.setattr(unroll_module, "_ALL_KEPT", 2)
    monkeypatch.setattr(unroll_module, "_GRAPHS", 0)
    _, some = gradients(given, steps=steps, constant_memory=True)
    assert all(torch.equal(one, other) for one, other in zip(every, some, strict=True))


@pytest.mark.parametrize("images_at_once", [1, 2, 3, 100])
def test_batches_in_pieces_give_the_same(images_at_once):
    given = variables()
    _, whole = gradients(given, constant_memory=True)
    _, pieces = gradients(given, constant_memory=True, images_at_once=images_at_once)
    assert_same(pieces, whole)


def test_the_start_gets_its_gradient_where_it_is_asked_for():
    given = variables()
    start = network().weights().requires_grad_()
    found = [gradients(given, constant_memory=way, start=start)[1] for way in (False, True)]
    assert len(found[0]) == 4
    assert_same(found[1], found[0])


@pytest.mark.parametrize("constant_memory", [False, True])
def test_only_what_takes_a_gradient_gets_one(constant_memory):
    images, labels, rate = variables()
    rate.requires_grad_(requires_grad=False)
    images.requires_grad_(requires_grad=False)
    net = network()
    final = unroll(net, net.weights(), batches, (images, labels), rate=rate, steps=2, constant_memory=constant_memory)
    score(final).backward()
    assert labels.grad.abs().max() > 0
    assert images.grad is None
    assert rate.grad is None


@pytest.mark.parametrize("constant_memory", [False, True])
def test_no_steps_give_the_start_and_a_rate_of_zero_leaves_it(constant_memory):
    net = network()
    for steps, rate in ((0, 0.1), (3, 0.0)):
        images, labels, _ = variables()
        given = torch.tensor(rate, dtype=torch.float64)
        final = unroll(
            net, net.weights(), batches, (images, labels), rate=given, steps=steps, constant_memory=constant_memory
        )
        assert torch.equal(final, net.weights())


def test_a_rate_of_zero_gets_its_gradient_too():
    given = variables(rate=0.0)
    (_, one), (_, other) = (gradients(given, steps=3, constant_memory=way) for way in (False, True))
    assert float(one[2]) != 0
    assert_same(other, one)


def test_more_weights_are_kept_where_the_graphs_are_large(monkeypatch):
    """As many as one step's graph would take: no step of few weights and large maps is taken again."""
    given, net, asked = variables(size=16), network(16, depth=1), []
    places = unroll_module._Recipe.places
    monkeypatch.setattr(unroll_module._Recipe, "places", lambda *these: asked.append(places(*these)) or asked[-1])
    gradients(given, steps=18, constant_memory=True, size=16, net=net)
    (graph,) = net.bytes_of_graphs.values()
    assert asked == [max(6, int(graph / net.weights().nbytes))]
    assert asked[0] > 6, "more than the fewest"
    gradients(given, steps=18, constant_memory=True, size=16, net=net)
    assert len(net.bytes_of_graphs) == 1, "counted once"


def test_images_that_were_moved_in_between_are_noticed():
    images, labels, rate = variables()
    net = network()
    final = unroll(net, net.weights(), batches, (images, labels), rate=rate, steps=2, constant_memory=True)
    with torch.no_grad():
        images.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        score(final).backward()


@pytest.mark.parametrize(("constant_memory", "most"), [(False, 5), (True, 1)])
def test_graphs_of_how_many_steps_are_alive_at_a_time(constant_memory, most):
    """A step's graph holds the batch that was made for it."""
    alive, seen = weakref.WeakSet(), []

    class Held(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images):
            if any(ctx.needs_input_grad):
                alive.add(ctx)
            seen.append(len(alive))
            return images.clone()

        @staticmethod
        def backward(_, gradient):
            return gradient

    def held(step, given):
        images, labels = batches(step, given)
        return Held.apply(images), labels

    images, labels, rate = variables()
    net = network()
    final = unroll(net, net.weights(), held, (images, labels), rate=rate, steps=5, constant_memory=constant_memory)
    torch.autograd.grad(score(final), images)
    assert max(seen) == most


def test_a_network_keeps_its_own_parameters():
    net = network()
    before = net.weights()
    gradients(variables(), constant_memory=True, net=net)
    assert torch.equal(net.weights(), before)
    named = net.named(before)
    assert torch.equal(net.flat(named), before)
    assert [tuple(each.shape) for each in named.values()] == [tuple(each.shape) for each in net.network.parameters()]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("steps", [4, 20])
def test_a_gpu_gives_the_cpus_gradient_both_ways(steps):
    """With more than 16 steps, weights that wait in the host's memory come back."""
    given = variables(size=16)
    _, expected = gradients(given, steps=steps, constant_memory=False, size=16)
    cuda = torch.device("cuda")
    moved = [each.detach().to(cuda).requires_grad_() for each in given]
    for way in (False, True):
        net = FlatNetwork(network(16).network.to(cuda))
        _, found = gradients(moved, steps=steps, constant_memory=way, net=net)
        assert_same([each.cpu() for each in found], expected, tolerance=1e-8)
