"""LD by ridge regression against its loop written from the paper, and its classifier against a direct solution."""

import pytest
import torch
import torch.nn.functional as F

from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.methods.base import CellSize
from bacon.methods.ld.record import LDSettings
from bacon.methods.ld.ridge import CLASSIFIER, SCALE
from bacon.methods.registry import METHODS
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from bacon.training.ridge_regression import linear_classifier
from tests.distillation.conftest import toy_dataset

LD = METHODS["ld"]
NETWORK = NetworkSettings(width=6, depth=2)
SMOKE = LD.scales["smoke"]["distillation"]


def settings(**changes):
    return LDSettings.model_validate(SMOKE | {"inner": "ridge_regression"} | changes)


def made(chosen, *, dtype=torch.float64, dataset=None, seed=3):
    real = RealImages(toy_dataset() if dataset is None else dataset, device=torch.device("cpu"), dtype=dtype)
    given = Context(cell=Cell("toy", "ld", 2, seed), real=real, network=NETWORK)
    return load_algorithm(LD.algorithm, chosen, given)


class NaiveRidge:
    """The published loop: a graph through the features, PyTorch's optimisers, the classifier in its primal form."""

    def __init__(self, algorithm, chosen):
        self.algorithm, self.given, self.chosen = algorithm, algorithm.context, chosen
        self.y = torch.full((6, 3), 1 / 3, dtype=torch.float64).requires_grad_()
        self.labels = torch.optim.Adam([self.y], lr=chosen.lr_label)
        self.begin(0, "along")

    def begin(self, number, purpose):
        self.net = self.given.build(number, purpose=purpose).requires_grad_()
        self.adam = torch.optim.Adam(self.net.features.parameters(), lr=self.chosen.lr_student)
        self.s = torch.ones((), dtype=torch.float64, requires_grad=True)
        self.adam_s = torch.optim.Adam([self.s], lr=self.chosen.lr_scale)
        self.w = torch.zeros(self.net.embedding_size + 1, 3, dtype=torch.float64)

    def features(self, images):
        return torch.cat([self.net.features(images).flatten(1), torch.ones(len(images), 1, dtype=torch.float64)], dim=1)

    def classifier(self, f, y):
        """W' as (F^T F + r I)^-1 F^T Y, of which F^T (F F^T + r I)^-1 Y is the other form."""
        r = self.chosen.ridge * torch.eye(f.shape[1], dtype=torch.float64)
        a = self.chosen.classifier_share
        return (1 - a) * self.w + a * torch.linalg.solve(f.T @ f + r, f.T @ y)

    def learn(self, w, f, y):
        log_p = F.log_softmax(f @ (self.s * w), dim=1)
        loss = -(y * log_p).sum(dim=1).mean()
        self.adam.zero_grad()
        self.adam_s.zero_grad()
        loss.backward()
        self.adam.step()
        self.adam_s.step()
        self.w = w.detach()

    def iteration(self, it):
        places = self.algorithm.inner_places(it)
        f = self.features(self.algorithm.images[places])
        w = self.classifier(f, self.y[places].detach())
        only_labels = self.classifier(f.detach(), self.y[places])
        images, labels = self.algorithm.real_batch(it)
        logits = self.features(images).detach() @ (self.s.detach() * only_labels)
        self.labels.zero_grad()
        (self.y.grad,) = torch.autograd.grad(F.cross_entropy(logits, labels), self.y)
        self.labels.step()
        with torch.no_grad():
            self.y.clamp_(0, 1)
            self.y /= self.y.sum(dim=1, keepdim=True)
        self.learn(w, f, self.y[places].detach())
        return float((logits.argmax(dim=1) != labels).double().mean())


@pytest.mark.parametrize(
    "changes",
    [
        {"lr_label": 0.1},
        {"batch_syn": 3, "batch_real": 1000, "ridge": 0.1, "classifier_share": 0.4, "lr_student": 0.05},
    ],
)
def test_steps_equal_the_naive_loop(changes):
    chosen = settings(**changes)
    algorithm = made(chosen)
    naive, serial = NaiveRidge(algorithm, chosen), 0
    for iteration in range(12):
        error = naive.iteration(iteration)
        terms = algorithm.step(iteration)
        if iteration > 0:  # at first all labels are the same, and rounding decides which of equal logits is the largest
            assert float(terms["real_error"]) == pytest.approx(error)
        torch.testing.assert_close(algorithm.labels, naive.y.detach(), rtol=0, atol=1e-9)
        if algorithm._serial != serial:
            serial = algorithm._serial
            naive.begin(serial, "along")
        own = algorithm.variables.all
        torch.testing.assert_close(own[CLASSIFIER].values, naive.w, rtol=0, atol=1e-9)
        torch.testing.assert_close(own[SCALE].values, naive.s.detach(), rtol=0, atol=1e-9)
    assert serial > 0, "a new network began, with W = 0 and s = 1"
    torch.testing.assert_close(algorithm.labels.sum(dim=1), torch.ones(6, dtype=torch.float64))
    assert (algorithm.labels - 1 / 3).abs().max() > 1e-3


def test_labels_are_tried_on_a_network_that_is_trained_in_the_same_way():
    chosen = settings(batch_syn=4, classifier_share=0.2)
    algorithm = made(chosen)
    for iteration in range(3):
        algorithm.step(iteration)
    naive = NaiveRidge(algorithm, chosen)
    naive.begin(7, "trial")
    for places in algorithm.trial_places(7, 5):
        f, y = naive.features(algorithm.images[places]), algorithm.labels[places]
        naive.learn(naive.classifier(f, y), f, y)
    found = algorithm._flat(algorithm.trained(7, 5), algorithm.images)
    torch.testing.assert_close(found, naive.features(algorithm.images) @ (naive.s * naive.w), rtol=0, atol=1e-9)


def test_the_classifier_solves_its_equations_however_large_the_features_are():
    features = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)) * 1e4
    labels = torch.eye(3).repeat(2, 1)
    wide = torch.cat([features, torch.ones(6, 1)], dim=1).double()
    expected = torch.linalg.solve(wide.T @ wide + 1.0 * torch.eye(41, dtype=torch.float64), wide.T @ labels.double())
    found = linear_classifier(features, labels, 1.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(wide @ found.double(), labels.double(), rtol=0, atol=1e-4)


def run(algorithm, iterations):
    for iteration in iterations:
        algorithm.step(iteration)
    return algorithm.synthetic()


def test_a_run_that_goes_on_from_its_state_ends_with_the_same_bits_and_the_seed_decides():
    chosen = settings(patience=2)
    whole, first, rest = (made(chosen, dtype=torch.float32) for _ in range(3))
    run(first, range(5))
    state = first.state_dict()
    rest.load_state_dict(state)
    result = run(whole, range(8))
    assert run(rest, range(5, 8)).equals(result)
    assert torch.equal(whole.variables.all[CLASSIFIER].values, rest.variables.all[CLASSIFIER].values)
    other = run(made(chosen, dtype=torch.float32, seed=4), range(8))
    assert not torch.equal(other.soft, result.soft)


@pytest.mark.parametrize("change", [{"std": (1e-3, 1e-3)}, {"mean": (-100.0, 100.0), "std": (0.1, 0.1)}, "black"])
def test_extreme_images_give_finite_sets(change):
    dataset = toy_dataset()
    if change == "black":
        dataset.train_images[:] = 0
    else:
        vars(dataset).update(change)
    algorithm = made(settings(), dtype=torch.float32, dataset=dataset)
    engine = Engine(algorithm, device=torch.device("cpu"), keep=())
    for _ in range(6):
        engine.step()
    assert engine.history.values.isfinite().all()
    assert algorithm.synthetic().soft.isfinite().all()


@pytest.mark.parametrize("images", [1, 5])
def test_the_number_of_images_at_a_time_changes_rounding_at_most(images):
    whole, pieces = made(settings()), made(settings())
    pieces.context.memory.chunk_images = images
    one, other = run(whole, range(4)), run(pieces, range(4))
    torch.testing.assert_close(one.soft, other.soft, rtol=0, atol=1e-6)


def test_published_settings_are_the_defaults():
    chosen = LDSettings(inner="ridge_regression")
    assert (chosen.ridge, chosen.classifier_share, chosen.lr_scale, chosen.lr_student) == (1.0, 0.01, 0.01, 1e-3)
    assert LDSettings().inner == "gradient_step"


def test_it_costs_less_than_through_a_step():
    size = CellSize(ipc=10, classes=10, train=50_000)
    passes = LD.cost(settings(batch_real=1024), size).passes
    assert [(each.kind, each.images) for each in passes] == [("forward", 1074), ("training", 50)]
