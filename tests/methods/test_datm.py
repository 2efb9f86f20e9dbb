"""DATM against its loop written from the paper, its start by hand, and what it refuses."""

import math

import pytest
import torch
from pydantic import ValidationError

from bacon.distillation.algorithm import Context
from bacon.distillation.real_images import RealImages
from bacon.methods.datm.algorithm import DATM
from bacon.methods.datm.record import DATMSettings
from bacon.methods.datm.start import initial_places, mean_of_correct
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from tests.distillation.conftest import toy_dataset
from tests.methods.naive_trajectories import NaiveDATM
from tests.methods.trained import inputs_of

CPU = torch.device("cpu")
NETWORK = NetworkSettings(width=6, depth=2)
SMOKE = METHODS["datm"].scales["smoke"]["distillation"] | {"lr_lr": 1e-6}


def settings(**changes):
    return DATMSettings.model_validate(SMOKE | changes)


def context(chosen, *, ipc=2, counts=(14, 11, 17)):
    dataset = toy_dataset(counts=counts)
    return Context(
        cell=Cell("toy", "datm", ipc, 3),
        real=RealImages(dataset, device=CPU, dtype=torch.float64),
        network=NETWORK,
        inputs=inputs_of(METHODS["datm"], chosen, NETWORK, dataset),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"init": "real", "batch_syn": 4, "constant_memory": False},
        {"threshold": 0.8, "lr_img": 2000.0, "current_max_start_epoch": None},
    ],
)
def test_steps_equal_the_naive_loop(changes):
    chosen = settings(**changes)
    given = context(chosen)
    algorithm = DATM(chosen, given)
    naive = NaiveDATM(given.real, chosen, NETWORK, ipc=2, seed=3, initial=algorithm.images.clone())
    torch.testing.assert_close(algorithm.variables.labels.values, naive.y.detach(), rtol=0, atol=1e-9)
    applied = 0
    for iteration in range(5):
        torch.testing.assert_close(algorithm.images, naive.iteration(iteration), rtol=0, atol=1e-9)
        applied += int(algorithm.step(iteration)["applied"])
        torch.testing.assert_close(algorithm.variables.labels.values, naive.y.detach(), rtol=0, atol=1e-9)
    assert applied == 5 - naive.skipped
    if chosen.threshold is not None:
        assert 0 < applied < 5, "some of the iterations are above the threshold"


def test_experts_are_flat_unless_told_otherwise():
    """Also where a layer changes another key of theirs."""
    experts = settings(experts={"runs": 3}).experts
    assert (experts.epochs, experts.sharpness.rho, experts.sharpness.gap, experts.sharpness.adaptive) == (
        100, 0.01, 0.3, True,
    )  # fmt: skip


@pytest.mark.parametrize(("iteration", "end"), [(0, 3), (4, 3), (5, 4), (10, 5), (20, 7), (1000, 7)])
def test_the_window_grows_evenly_and_stays(iteration, end):
    chosen = settings(
        min_start_epoch=1, current_max_start_epoch=3, max_start_epoch=7, expansion_end=20,
        experts=SMOKE["experts"] | {"epochs": 8, "batch_size": 64},
    )  # fmt: skip
    assert DATM(chosen, context(chosen)).start_epochs(iteration) == (1, end)


class Scripted:
    """Experts that know certain images, told apart by the mean of their pixels."""

    def __init__(self, real, known):
        self.real, self.known = real, known

    def __len__(self):
        return len(self.known)

    def logits(self, run, images):
        every = self.real.batch(torch.arange(len(self.real.labels))).flatten(1)
        places = [int((every == image.flatten()).all(dim=1).nonzero()[0, 0]) for image in images]
        labels = [
            int(self.real.labels[place]) if place in self.known[run] else (int(self.real.labels[place]) + 1) % 3
            for place in places
        ]
        return torch.nn.functional.one_hot(torch.tensor(labels), 3).double()


def test_images_are_the_first_that_the_first_expert_knows_then_the_next(caplog):
    given = context(settings(), ipc=3)
    orders = [
        given.real.sample_classes(3, "initial-images", iteration=0, classes=[label], size=count)[0].tolist()
        for label, count in enumerate(given.real.counts)
    ]
    a, b, c = orders
    # Of the first class the first expert knows enough; of the second one, the next expert two more; of the third, nobody any.
    experts = Scripted(given.real, [{a[2], a[4], a[9], a[11], b[5]}, {b[1], b[7], b[5], a[0]}])
    places = initial_places("correct", given, experts)
    assert places.tolist() == [a[2], a[4], a[9], b[5], b[1], b[7], c[0], c[1], c[2]]
    assert "fewer than 3 training images correctly of class 2; others of these classes fill up" in caplog.text
    assert initial_places("real", given, experts).tolist() == [*a[:3], *b[:3], *c[:3]]


def test_a_class_without_enough_images_is_named():
    given = context(settings(), ipc=12)
    with pytest.raises(BaconError, match=r"IPC 12 needs as many real images of each class; class 'class 1' has 11"):
        initial_places("correct", given, Scripted(given.real, [set()]))


def test_labels_are_the_mean_of_those_that_are_right():
    one = torch.tensor([[2.0, 0.0], [0.0, 5.0], [1.0, 0.0]])
    two = torch.tensor([[4.0, 1.0], [3.0, 0.0], [3.0, 2.0]])
    classes = torch.tensor([0, 1, 1])  # both are right of the first, one of the second, none of the third
    found = mean_of_correct([one, two], classes)
    assert found.tolist() == [[3.0, 0.5], [0.0, 5.0], [2.0, 1.0]]


def test_a_threshold_that_skips_every_update_is_an_error_that_says_so():
    chosen = settings(threshold=1e-9)
    algorithm = DATM(chosen, context(chosen))
    before = algorithm.images.clone()
    for iteration in range(chosen.iterations):
        algorithm.synthetic()
        assert float(algorithm.step(iteration)["applied"]) == 0
    assert torch.equal(algorithm.images, before)
    with pytest.raises(BaconError, match=r"all 4 updates were skipped.*distillation.threshold \(1e-09\); raise it"):
        algorithm.synthetic()


def test_a_distance_that_is_not_finite_changes_nothing():
    chosen = settings(threshold=1.0)
    algorithm = DATM(chosen, context(chosen))
    algorithm.step(0)
    before = {name: each.values.clone() for name, each in algorithm.variables.all.items()}
    gradients = {name: torch.full_like(values, math.nan) for name, values in before.items()}
    algorithm.move(gradients, torch.tensor(math.nan))
    assert all(torch.equal(algorithm.variables.all[name].values, values) for name, values in before.items())


def test_the_set_has_logits_and_a_rate():
    chosen = settings()
    synthetic = DATM(chosen, context(chosen)).synthetic()
    assert (synthetic.soft.shape, synthetic.soft_kind, synthetic.rates.shape) == ((6, 3), "logits", (1,))


def test_start_epochs_that_do_not_ascend_are_refused():
    with pytest.raises(ValidationError, match="`min_start_epoch` 2 must be below `current_max_start_epoch` 1"):
        settings(min_start_epoch=2)
