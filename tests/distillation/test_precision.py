"""Convolutions in bfloat16: what is rounded, what stays float32, and that the setting reaches fingerprint and artifact."""

import pytest
import torch
import torch.nn.functional as F

from bacon.config.loading import check_config
from bacon.networks.build import build_network
from bacon.networks.kernels.block import InstanceNormReluPool
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from tests.distillation.engines import NETWORK, make_engine, settings

CPU = torch.device("cpu")


def network(precision, **changes):
    chosen = NetworkSettings(width=6, depth=2, precision=precision, **changes)
    return build_network(chosen, channels=2, size=8, classes=3, seed=0, device=CPU)


def images():
    return torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def test_bf16_rounds_images_and_weights_of_convolutions_and_nothing_else():
    ours, x = network("bf16"), images()
    maps = x
    for convolution, block in zip(ours.features[0::2], ours.features[1::2], strict=True):
        exact = F.conv2d(
            *(part.bfloat16().double() for part in (maps, convolution.weight, convolution.bias)), padding=1
        )
        # Products of bfloat16 are summed in float32; the sum is rounded to bfloat16, of which one unit is 2^-8.
        rounded = F.conv2d(*(part.bfloat16() for part in (maps, convolution.weight, convolution.bias)), padding=1)
        torch.testing.assert_close(rounded.double(), exact, rtol=2**-7, atol=2**-8)
        maps = F.avg_pool2d(F.relu(F.group_norm(rounded.float(), 6, block.weight, block.bias)), 2).bfloat16().float()
    found = ours.embed(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, maps.flatten(1), rtol=2**-7, atol=1e-6)
    assert not torch.allclose(found, network("fp32").embed(x), rtol=0, atol=1e-4), "it must have been rounded"
    logits = ours(x)
    assert torch.equal(logits, F.linear(found, ours.classifier.weight, ours.classifier.bias))


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "none"])
def test_gradients_of_bf16_are_float32_and_near(norm):
    x = images()
    gradients = []
    for precision in ("fp32", "bf16"):
        ours = network(precision, norm=norm)
        y = x.clone().requires_grad_()
        loss = F.cross_entropy(ours(y), torch.tensor([0, 1, 2, 0, 1]))
        gradients.append(torch.autograd.grad(loss, [y, *ours.parameters()]))
    for exact, rounded in zip(*gradients, strict=True):
        assert rounded.dtype == torch.float32
        assert rounded.isfinite().all()
        assert (rounded - exact).norm() <= 0.2 * exact.norm() + 2e-3  # a bias before a norm has none
    assert not torch.equal(gradients[0][0], gradients[1][0])


def test_the_block_computes_bf16_maps_in_float32():
    layer = InstanceNormReluPool(3)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    assert torch.equal(layer(x), layer(x.float()).bfloat16())


@pytest.mark.parametrize("method", ["bacon", "dm"])
def test_distillation_in_bf16_keeps_its_state_in_float32(real32, method):
    engines = [
        make_engine(real32, settings(method), NETWORK.model_copy(update={"precision": precision}), ipc=1, seed=0)
        for precision in ("fp32", "bf16")
    ]
    start = engines[0].algorithm.images.clone()
    for engine in engines:
        for _ in range(3):
            engine.step()
    exact, rounded = (engine.algorithm.images for engine in engines)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert (rounded - exact).norm() < 0.2 * (exact - start).norm()
    for member in getattr(engines[1].algorithm.pool, "members", []):
        assert all(kept is None or kept.dtype == torch.float32 for kept in member.optimiser.state_dict()["momentum"])


def test_precision_makes_distillation_and_evaluation_stale():
    plans = [
        Plan(check_config({"preset": "demo", "methods": {"bacon": {"network": {"precision": precision}}}}))
        for precision in ("tf32", "bf16")
    ]
    cell = Cell.parse("digits/bacon/ipc1/seed0")
    assert plans[1].evaluation_network(cell, "convnet").precision == "bf16"
    assert plans[0].distilled_fingerprint(cell) != plans[1].distilled_fingerprint(cell)
    assert plans[0].record_fingerprint(cell, "convnet") != plans[1].record_fingerprint(cell, "convnet")
    other = Cell.parse("digits/idm/ipc1/seed0")
    assert plans[0].distilled_fingerprint(other) == plans[1].distilled_fingerprint(other)
