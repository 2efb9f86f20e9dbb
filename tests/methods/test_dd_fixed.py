"""DD for one fixed network: against its loop written from the paper, and that the evaluation trains the same network."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from bacon.distillation.algorithm import Context
from bacon.distillation.real_images import RealImages
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.methods.dd.algorithm import DD, RAW_RATES
from bacon.methods.dd.record import DDSettings
from bacon.methods.registry import METHODS
from bacon.networks.build import build_network
from bacon.plan.trainings import full_set_needs
from bacon.settings.cells import Cell
from bacon.settings.evaluation import EvaluationSettings, merged_evaluation
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocols import protocol_settings
from bacon.training.image_set import ImageSet
from tests.distillation.conftest import toy_dataset
from tests.methods.naive_dd import NaiveDD

NETWORK = NetworkSettings(width=6, depth=2)
CPU = torch.device("cpu")
FIXED = {"initialisation": "fixed"}


def distillation(dtype=torch.float64, seed=3, **changes):
    settings = DDSettings.model_validate(METHODS["dd"].scales["smoke"]["distillation"] | FIXED | changes)
    real = RealImages(toy_dataset(), device=CPU, dtype=dtype)
    return DD(settings, Context(cell=Cell("toy", "dd", 2, seed), real=real, network=NETWORK))


def fixed_network(seed, dtype):
    return build_network(
        NETWORK, channels=2, size=8, classes=3, seed=seed, purpose="fixed-network", device=CPU, dtype=dtype
    )


class NaiveFixed(NaiveDD):
    def fresh(self, _):
        return fixed_network(self.seed, torch.float64)


def protocol():
    return merged_evaluation(protocol_settings("p-dd", DataFacts(name="toy")), FIXED | {"seeds": 1})


def test_steps_equal_the_naive_loop_on_one_network():
    algorithm = distillation(lr=0.1)
    naive = NaiveFixed(
        algorithm.context.real, algorithm.settings, NETWORK, ipc=2, seed=3, initial=algorithm.images.clone()
    )
    for iteration in range(4):
        torch.testing.assert_close(algorithm.images, naive.iteration(iteration), rtol=0, atol=1e-8)
        algorithm.step(iteration)
        torch.testing.assert_close(algorithm.variables.all[RAW_RATES].values, naive.r.detach(), rtol=0, atol=1e-8)


def test_the_network_is_that_of_the_seed_in_every_iteration_and_another_for_another_seed():
    one, other = distillation(), distillation(seed=4)
    assert torch.equal(one._fresh(0), one._fresh(5))
    assert not torch.equal(one._fresh(0), other._fresh(0))


def test_the_evaluation_repeats_the_steps_on_that_network():
    """Its loss in the last step, on one image of every class, is that of the loop by hand."""
    algorithm = distillation(dtype=torch.float32)
    for iteration in range(3):
        algorithm.step(iteration)
    made = algorithm.synthetic()
    net, labels = fixed_network(3, torch.float32), torch.arange(3)
    losses = []
    for step, rate in enumerate(made.rates.tolist()):
        loss = F.cross_entropy(net(made.images[step % 2 :: 2]), labels)
        losses.append(float(loss.detach()))
        found = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), found, strict=True):
                parameter -= rate * gradient
    images = ImageSet(images=made.images, labels=made.classes, rates=tuple(made.rates.tolist()))
    settings = protocol().with_augmentation("none", 0.01)
    found = [
        train_and_test(
            NetworkTraining(train=images, network=NETWORK, evaluation=settings, classes=3, seed=seed), images
        )
        for seed in ((3, 0), (3, 7), (4, 0))
    ]
    expected = sum(losses[-2:]) / 2  # the last epoch: two steps of three images
    assert found[0].train_loss == pytest.approx(expected, rel=1e-4)
    assert found[1].train_loss == found[0].train_loss
    assert found[2].train_loss != found[0].train_loss


def test_the_full_data_set_is_trained_from_it_too():
    assert full_set_needs(EvaluationSettings(), NETWORK)
    assert full_set_needs(EvaluationSettings(initialisation="fixed"), NETWORK) == {}


def test_seeds_and_networks_that_would_all_be_the_same_are_refused():
    with pytest.raises(ValidationError, match="all 200 `seeds` would train the same network: set `seeds` to 1"):
        merged_evaluation(protocol_settings("p-dd", DataFacts(name="toy")), FIXED)
    with pytest.raises(ValidationError, match="all 2 `networks` would be the same: set it to 1"):
        distillation(networks=2)
    assert EvaluationSettings(initialisation="fixed", seeds=5).seeds == 5, "the order of the images is drawn"


def test_published_settings():
    layers = METHODS["dd"].published
    assert layers["mnist", 1]["distillation"] == {"iterations": 23600, "lr_interval": 2360, "lr_student": 0.02}
    assert DDSettings().passes == 3
