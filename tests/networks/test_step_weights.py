"""What a step takes its gradients by: rounded copies of weights, and nothing for biases without effect."""

import pytest
import torch
import torch.nn.functional as F

from bacon.networks.build import build_network
from bacon.networks.kernels import first_gpu
from bacon.networks.step_weights import StepWeights, left_out_of_step, weight_in_step
from bacon.settings.network import NetworkSettings

CPU = torch.device("cpu")


def make_network(precision="bf16", **settings):
    chosen = NetworkSettings(width=8, depth=2, precision=precision, **settings)
    return build_network(chosen, channels=2, size=8, classes=3, seed=0, device=CPU)


def loss_of(network):
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(6, 2, 8, 8, generator=generator), torch.arange(6) % 3
    return F.cross_entropy(network(images), labels)


def in_a_step(network):
    weights = StepWeights(network.rounded_weights())
    with weights.in_use():
        loss = loss_of(network)
    return weights.gradients(loss, list(network.parameters()))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_the_weights_before_they_are_cast(layout):
    network = make_network().to(memory_format=layout)
    expected = torch.autograd.grad(loss_of(network), list(network.parameters()))
    names = [name for name, _ in network.named_parameters()]
    for name, mine, other in zip(names, in_a_step(network), expected, strict=True):
        if name in ("features.0.bias", "features.2.bias"):
            assert mine is None, name
            assert not other.any()
            continue
        convolution = name in ("features.0.weight", "features.2.weight")
        assert mine.dtype == (torch.bfloat16 if convolution else torch.float32), name
        assert mine.stride() == other.stride()
        assert torch.equal(mine.float(), other)


def test_in_full_precision_gradients_are_of_the_parameters():
    network = make_network("fp32", norm="batch")
    expected = torch.autograd.grad(loss_of(network), list(network.parameters()))
    assert network.rounded_weights() == []
    for mine, other in zip(in_a_step(network), expected, strict=True):
        assert torch.equal(mine, other)


def test_copies_are_the_weights_at_that_time_rounded_and_laid_out_alike():
    weight = torch.randn(300, 40, 3, 3).to(memory_format=torch.channels_last)
    weights = StepWeights([weight])
    expected = weight.to(torch.bfloat16)
    weight.zero_()
    with weights.in_use(), torch.autocast("cpu", torch.bfloat16):
        copy = weight_in_step(weight, CPU)
        assert weight_in_step(expected, CPU) is expected, "of which there is no copy"
        with pytest.raises(AssertionError, match="two layers"):
            weight_in_step(weight, CPU)
    assert torch.equal(copy, expected)
    assert copy.stride() == expected.stride()
    assert copy.is_leaf
    assert copy.requires_grad


def test_copies_are_read_under_autocast_and_in_the_step_alone():
    weight = torch.ones(2, 2, 3, 3)
    weights = StepWeights([weight])
    with weights.in_use():
        assert weight_in_step(weight, CPU) is weight
        with torch.autocast("cpu", torch.float16):
            assert weight_in_step(weight, CPU) is weight
        assert left_out_of_step(weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert weight_in_step(weight, CPU) is weight
    assert not left_out_of_step(weight)


def test_one_step_at_a_time_also_after_an_error():
    def fails(weights):
        with weights.in_use(), StepWeights([]).in_use():
            pass

    for _ in range(2):
        with pytest.raises(AssertionError, match="one step at a time"):
            fails(StepWeights([]))


def test_a_gradient_that_would_be_lost_is_an_error():
    weight, other = (torch.ones(2, 2, 1, 1, requires_grad=True) for _ in range(2))

    def gradients(beside, parameters):
        weights = StepWeights([weight])
        with weights.in_use(), torch.autocast("cpu", torch.bfloat16):
            output = F.conv2d(torch.ones(1, 2, 1, 1), weight_in_step(weight, CPU)).sum()
        return weights.gradients(output + beside * weight.sum() if beside else output, parameters)

    assert gradients(0, [weight])[0].dtype == torch.bfloat16
    with pytest.raises(AssertionError, match="beside its copy"):
        gradients(1, [weight])
    with pytest.raises(AssertionError, match="depends on every parameter"):
        gradients(0, [weight, other])


def test_the_first_block_on_a_gpu_leaves_its_bias_out(monkeypatch):
    given = []
    monkeypatch.setattr(first_gpu.FirstOnGpu, "apply", lambda *arguments: given.append(arguments))
    convolution, norm, *_ = make_network().features
    weights = StepWeights([convolution.weight])
    with weights.in_use():
        first_gpu.first_on_gpu(torch.zeros(1, 2, 8, 8), convolution, norm, "bf16")
    first_gpu.first_on_gpu(torch.zeros(1, 2, 8, 8), convolution, norm, "bf16")
    assert [arguments[1] for arguments in given] == [convolution.weight] * 2
    assert [arguments[2] for arguments in given] == [None, convolution.bias]
    output = (convolution.weight.sum() + norm.weight.sum() + norm.bias.sum()).square()
    found = weights.gradients(output, [*convolution.parameters(), *norm.parameters()])
    assert [each is None for each in found] == [False, True, False, False]
