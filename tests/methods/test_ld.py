"""LD against its loop written from the paper, its rule of restarts on scripted errors, and which images it uses."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from bacon.distillation.algorithm import Context
from bacon.distillation.initialisation import real_images
from bacon.distillation.real_images import RealImages
from bacon.methods.ld.algorithm import LD
from bacon.methods.ld.division import divided
from bacon.methods.ld.record import LDSettings
from bacon.methods.ld.restart import RestartRule
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.evaluation import merged_evaluation
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocols import protocol_settings
from tests.distillation.conftest import toy_dataset

NETWORK = NetworkSettings(width=6, depth=2)
SMOKE = METHODS["ld"].scales["smoke"]["distillation"]


def settings(**changes):
    return LDSettings.model_validate(SMOKE | changes)


def context(*, ipc=2, counts=(14, 11, 17)):
    real = RealImages(toy_dataset(counts=counts), device=torch.device("cpu"), dtype=torch.float64)
    return Context(cell=Cell("toy", "ld", ipc, 3), real=real, network=NETWORK)


class NaiveLD:
    """The published loop: PyTorch's optimisers, a graph through one step."""

    def __init__(self, algorithm, given, chosen):
        self.algorithm, self.given, self.chosen = algorithm, given, chosen
        self.y = torch.full((6, 3), 1 / 3, dtype=torch.float64).requires_grad_()
        self.labels = torch.optim.Adam([self.y], lr=chosen.lr_label)
        self.begin(0)

    def begin(self, number):
        self.net = self.given.build(number, purpose="along").requires_grad_()
        self.adam = torch.optim.Adam(self.net.parameters(), lr=self.chosen.lr_student)

    def soft_loss(self, theta, places):
        log_p = F.log_softmax(functional_call(self.net, theta, (self.algorithm.images[places],)), dim=1)
        return -(self.y[places] * log_p).sum(dim=1).mean()

    def iteration(self, it):
        theta = dict(self.net.named_parameters())
        places = self.algorithm.inner_places(it)
        found = torch.autograd.grad(self.soft_loss(theta, places), list(theta.values()), create_graph=True)
        after = {name: w - self.chosen.lr_inner * g for (name, w), g in zip(theta.items(), found, strict=True)}
        images, labels = self.algorithm.real_batch(it)
        (gradient,) = torch.autograd.grad(F.cross_entropy(functional_call(self.net, after, (images,)), labels), self.y)
        self.y.grad = gradient
        self.labels.step()
        with torch.no_grad():
            self.y.clamp_(0, 1)
            self.y /= self.y.sum(dim=1, keepdim=True)
        for parameter, each in zip(self.net.parameters(), found, strict=True):
            parameter.grad = each.detach()
        self.adam.step()


@pytest.mark.parametrize("changes", [{"lr_label": 0.1}, {"batch_syn": 3, "batch_real": 1000, "patience": 2}])
def test_steps_equal_the_naive_loop(changes):
    chosen, given = settings(**changes), context()
    algorithm = LD(chosen, given)
    naive, serial = NaiveLD(algorithm, given, chosen), 0
    for iteration in range(8):
        naive.iteration(iteration)
        algorithm.step(iteration)
        torch.testing.assert_close(algorithm.labels, naive.y.detach(), rtol=0, atol=1e-9)
        if algorithm._serial != serial:  # the rule is tested below
            serial = algorithm._serial
            naive.begin(serial)
    assert serial > 0, "a new network began, and the labels and their optimiser went on"
    torch.testing.assert_close(algorithm.labels.sum(dim=1), torch.ones(6, dtype=torch.float64))
    assert (algorithm.labels - 1 / 3).abs().max() > 1e-3


def test_a_network_restarts_after_more_than_its_patience_without_a_new_low():
    rule = RestartRule(2)
    # Means of two: -, 0.8, 0.6, 0.6, 0.6, 0.6: the low is after step 3, the third iteration after it is one too many.
    errors = [0.9, 0.7, 0.5, 0.7, 0.5, 0.7]
    assert [rule.update(error) for error in errors] == [False, False, False, False, False, True]
    assert rule.counts == [3]
    assert rule.training_steps() == 3
    assert rule.steps == 0
    assert [rule.update(error) for error in (0.9, 0.9, 0.9, 0.9, 0.9)] == [False, False, False, False, True]
    assert rule.counts == [3, 2]
    assert rule.training_steps() == 2, "the mean of 3 and 2, to the even number"


def test_the_rule_forgets_a_network_but_not_the_last_three_counts():
    rule = RestartRule(1)
    for count in (1, 2, 3, 4):
        for step in range(count):
            assert not rule.update(1 - 0.1 * step)
        assert not rule.update(2.0)
        assert rule.update(2.0)
    assert rule.counts == [2, 3, 4]
    other = RestartRule(1)
    assert not rule.update(0.5)
    other.load_state_dict(rule.state_dict())
    assert [one.update(0.6) for one in (rule, other)] == [False, False]
    assert [one.update(0.6) for one in (rule, other)] == [True, True]


def test_before_the_first_restart_a_network_is_trained_for_as_long_as_the_current_one():
    rule = RestartRule(50)
    for _ in range(7):
        rule.update(0.5)
    assert rule.training_steps() == 7


def test_the_images_are_those_of_random_and_held_out_ones_are_not_learned_from():
    given = context(ipc=3)
    parts = divided(given, 0.2)
    expected = real_images(given.real, ipc=3, partition=1, seed=3)
    assert torch.equal(given.real.batch(parts.base), expected)
    held, learned = set(parts.validation.tolist()), set(parts.target.tolist())
    assert not held & learned
    assert set(parts.base.tolist()) <= learned
    assert held | learned == set(range(42))
    assert given.real.labels[parts.validation].bincount().tolist() == [2, 2, 3]


def test_too_few_images_of_a_class_are_named():
    with pytest.raises(BaconError, match=r"IPC 10 needs .*class 'class 1' has 11, of which 2 are held out .*lower"):
        divided(context(ipc=10), 0.2)


def test_the_labels_that_are_best_on_held_out_images_are_kept(monkeypatch):
    algorithm = LD(settings(selection_interval=1), context())
    errors = iter([0.5, 0.3, 0.4])
    monkeypatch.setattr(algorithm, "_validation_error", lambda _: torch.tensor(next(errors)))
    kept = []
    for iteration in range(3):
        algorithm.step(iteration)
        kept.append(algorithm.labels.float().clone())
    assert torch.equal(algorithm.synthetic().soft, kept[1])
    assert not torch.equal(kept[1], kept[2])


def test_without_held_out_images_the_last_labels_are_taken():
    algorithm = LD(settings(validation=0.0), context())
    for iteration in range(2):
        algorithm.step(iteration)
    assert torch.equal(algorithm.synthetic().soft, algorithm.labels.float())


def test_its_protocol_trains_for_the_steps_that_were_learned():
    algorithm = LD(settings(patience=50, selection_interval=5), context())
    for iteration in range(5):
        algorithm.step(iteration)
    rates = algorithm.synthetic().rates.tolist()
    assert rates == pytest.approx([1e-3] * 5)
    evaluation = merged_evaluation(protocol_settings("p-ld", DataFacts(name="toy", classes=3, ipc=2)))
    recipe = evaluation.with_augmentation("none", 0.01).recipe(images=6, classes=3, rates=rates)
    assert (recipe.steps, recipe.optimiser.kind, recipe.labels, recipe.batch_size) == (5, "adam", "stored", 10)
    assert recipe.loss[0].kind == "soft_ce"


@pytest.mark.parametrize(
    ("images", "classes", "expected"), [(10, 10, 10), (20, 10, 10), (50, 10, 25), (100, 10, 50), (100, 100, 100)]
)
def test_images_per_step_are_the_published_ones(images, classes, expected):
    assert LDSettings().inner_batch(images, classes) == expected
    assert (
        protocol_settings("p-ld", DataFacts(name="x", classes=classes, ipc=images // classes))["batch_size"] == expected
    )
