"""DD against its loop written from the paper."""

import pytest
import torch

from bacon.distillation.algorithm import Context
from bacon.distillation.real_images import RealImages
from bacon.methods.dd.algorithm import DD, RAW_RATES
from bacon.methods.dd.record import DDSettings
from bacon.methods.registry import METHODS
from bacon.settings.cells import Cell
from bacon.settings.evaluation import merged_evaluation
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocols import protocol_settings
from tests.distillation.conftest import toy_dataset
from tests.methods.naive_dd import NaiveDD

NETWORK = NetworkSettings(width=6, depth=2)
SMOKE = METHODS["dd"].scales["smoke"]["distillation"]


def settings(**changes):
    return DDSettings.model_validate(SMOKE | changes)


def context(*, ipc=2):
    real = RealImages(toy_dataset(), device=torch.device("cpu"), dtype=torch.float64)
    return Context(cell=Cell("toy", "dd", ipc, 3), real=real, network=NETWORK)


@pytest.mark.parametrize(
    "changes",
    [{"constant_memory": False}, {"networks": 2, "passes": 1, "lr_interval": 2}, {"batch_real": 1000, "lr": 0.1}],
)
def test_steps_equal_the_naive_loop(changes):
    chosen, given = settings(**changes), context()
    algorithm = DD(chosen, given)
    naive = NaiveDD(given.real, chosen, NETWORK, ipc=2, seed=3, initial=algorithm.images.clone())
    for iteration in range(4):
        torch.testing.assert_close(algorithm.images, naive.iteration(iteration), rtol=0, atol=1e-8)
        algorithm.step(iteration)
        torch.testing.assert_close(algorithm.variables.all[RAW_RATES].values, naive.r.detach(), rtol=0, atol=1e-8)


def test_a_set_has_a_rate_for_each_step_and_all_begin_alike():
    algorithm = DD(settings(passes=3), context())
    synthetic = algorithm.synthetic()
    assert synthetic.rates.tolist() == pytest.approx([0.02] * 6)
    for iteration in range(3):  # Adam's first step is of one size for all
        algorithm.step(iteration)
    assert len(set(algorithm.synthetic().rates.tolist())) == 6


def test_rates_stay_above_zero_however_far_they_are_moved():
    algorithm = DD(settings(), context())
    algorithm.variables.all[RAW_RATES].values.fill_(-1e4)
    assert algorithm.synthetic().rates.min() > 0


def test_its_protocol_takes_its_steps_again():
    """As many steps, in the same order, at the learned rates: what the images were made for."""
    algorithm = DD(settings(passes=3), context())
    synthetic = algorithm.synthetic()
    evaluation = merged_evaluation(protocol_settings("p-dd", DataFacts(name="toy")))
    recipe = evaluation.with_augmentation("none", 0.01).recipe(images=6, classes=3, rates=synthetic.rates.tolist())
    assert (recipe.steps, recipe.batch_size, recipe.order) == (6, 3, "one_per_class")
    assert recipe.rates == tuple(synthetic.rates.tolist())
    images, labels = algorithm._batch(1, (synthetic.images,))
    assert labels.tolist() == [0, 1, 2]
    assert torch.equal(images, synthetic.images[1::2]), "the second image of every class"


def test_real_images_are_augmented_where_the_settings_say():
    plain, cropped = (DD(settings(augmentation=name), context()) for name in ("none", "crop_flip"))
    one, other = plain.real_batch(0), cropped.real_batch(0)
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], other[0])
    assert torch.equal(other[0], cropped.real_batch(0)[0])
