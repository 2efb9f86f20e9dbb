"""Which learning rate the validation split chooses, of accuracies that are given."""

from __future__ import annotations

from types import SimpleNamespace

from bacon.evaluation.rate_search import choose_rates
from bacon.settings.evaluation import EvaluationSettings
from bacon.training.loop import DivergedError

RATES = (0.3, 0.1, 0.2, 0.05)


class Given:
    """Networks whose accuracies on the validation split are known; those on the test images say the opposite."""

    def __init__(self, accuracies):
        self.accuracies, self.asked = accuracies, []
        self.dataset, self.job, self.final = SimpleNamespace(validation_images=()), "cell", 7

    def attempts(self, keys):
        self.asked += keys
        found = (self.accuracies[key.augmentation][RATES.index(key.lr_net)] for key in keys)
        return [
            DivergedError("nan") if each is None else SimpleNamespace(validation_accuracy=each, test_accuracy=1 - each)
            for each in found
        ]


def test_each_augmentation_has_its_own_rate_and_of_equal_ones_the_first_in_the_list():
    networks = Given({"none": (0.2, 0.8, 0.8, 0.3), "dsa": (None, 0.1, 0.2, 0.4)})
    evaluation = EvaluationSettings(augmentations=["none", "dsa"], lr_search=RATES)
    rates, selection = choose_rates(networks, evaluation, ["none", "dsa"])
    assert rates == {"none": 0.1, "dsa": 0.05}
    assert {(key.iteration, key.evaluation_seed) for key in networks.asked} == {(7, 0)}
    assert selection["augmentations"]["dsa"]["tried"][0] == {"lr_net": 0.3, "validation_accuracy": None}
