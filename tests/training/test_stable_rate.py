"""The largest stable learning rate: against the whole tangent kernel, and training just below and above it."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.func import functional_call, jacrev

from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.networks.build import build_network
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.stable_rate import largest_stable_rate
from tests.toy_images import CLASSES, CPU, float_set

KIP = NetworkSettings(architecture="kip_convnet", width=4, depth=2)
LOSS = {"lr": "ntk", "lr_net": 1.0, "loss": [{"kind": "mse", "weight": 0.5}], "augmentations": ["none"]}


def network(settings=KIP, dtype=torch.float64):
    return build_network(settings, channels=1, size=8, classes=CLASSES, seed=0, device=CPU, dtype=dtype)


@pytest.mark.parametrize("settings", [KIP, NetworkSettings(width=4, depth=2)], ids=["kip", "convnet"])
@pytest.mark.parametrize(("momentum", "weight"), [(0.0, 0.5), (0.9, 2.0)])
def test_it_is_that_of_the_whole_tangent_kernel(settings, momentum, weight):
    model, images = network(settings).eval(), float_set(6).images.double()
    parameters = {name: each.detach() for name, each in model.named_parameters()}
    jacobian = jacrev(lambda theta: functional_call(model, theta, (images,)).flatten())(parameters)
    flat = torch.cat([part.flatten(1) for part in jacobian.values()], dim=1)
    curvature = 2 * weight * torch.linalg.eigvalsh(flat @ flat.T).max() / (6 * CLASSES)
    found = largest_stable_rate(model, images, momentum=momentum, weight=weight)
    assert found == pytest.approx(float(2 * (1 + momentum) / curvature), rel=0.01)


def test_a_linear_network_converges_below_it_and_diverges_above():
    """The limits of gradient descent on a quadratic loss."""
    model, images = network(NetworkSettings(architecture="mlp")), float_set(6).images.double()
    model.features = torch.nn.Flatten()
    model.classifier = torch.nn.Linear(64, CLASSES, dtype=torch.float64)
    rate = largest_stable_rate(model, images, momentum=0.0, weight=0.5)
    losses = {}
    for factor in (0.95, 1.05):
        weight = torch.zeros(64, CLASSES, dtype=torch.float64).requires_grad_()
        bias = torch.zeros(CLASSES, dtype=torch.float64).requires_grad_()
        optimiser = torch.optim.SGD([weight, bias], lr=factor * rate)
        for _ in range(400):
            loss = (
                images.flatten(1) @ weight + bias - torch.eye(CLASSES)[torch.arange(6) % CLASSES]
            ).square().mean() / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        losses[factor] = float(loss.detach())
    assert losses[0.95] < 0.25 < 1e3 < losses[1.05]


def test_an_evaluation_trains_at_a_share_of_it():
    train, test = float_set(12), float_set(40, seed=1)
    # At the limit itself a network this narrow may end with dead units.
    settings = EvaluationSettings.model_validate(
        {**LOSS, "lr_net": 0.2, "steps": 60, "batch_size": 12, "labels": "stored"}
    )
    found = train_and_test(
        NetworkTraining(train=train, network=KIP, evaluation=settings, classes=CLASSES, seed=(0, 0)), test
    )
    assert found.test_accuracy > 0.9
    assert found.train_loss < 0.05


@pytest.mark.parametrize(
    "changes", [{"loss": []}, {"optimiser": "adam"}, {"loss": [{"kind": "mse", "over_classes": "sum"}]}]
)
def test_other_losses_and_optimisers_are_refused(changes):
    with pytest.raises(ValidationError, match="`lr` is ntk"):
        EvaluationSettings.model_validate(LOSS | changes)


def test_kips_network_starts_from_its_own_distributions():
    model = build_network(
        NetworkSettings(architecture="kip_convnet", width=64), channels=3, size=16, classes=10, seed=0, device=CPU
    )
    convolutions = [layer for layer in model.features if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 4
    assert float(convolutions[1].weight.detach().std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert float(model.classifier.weight.detach().std()) == pytest.approx((2 / model.embedding_size) ** 0.5, rel=0.1)
    biases = torch.cat([layer.bias for layer in convolutions])
    assert float(biases.detach().std()) == pytest.approx(0.1, rel=0.15)
