"""Weights before a student's steps: which are kept, how many are held at a time, and how often a step is taken again."""

from collections import Counter

import pytest
import torch

from bacon.distillation.graph_bytes import graph_bytes
from bacon.distillation.kept_weights import KeptWeights, first_steps, least_places


@pytest.mark.parametrize(
    ("steps", "places"), [(1, 1), (3, 2), (6, 3), (10, 4), (30, 8), (30, 23), (50, 10), (50, 50), (5, 9)]
)
def test_all_come_back_in_as_many_places_with_few_steps_taken_again(steps, places):
    again = Counter()

    def after(step, weights):
        assert int(weights) == step
        again[step] += 1
        return weights + 1

    kept = KeptWeights(steps, places, torch.tensor(0))
    for step in range(steps):
        kept.pass_by(step, torch.tensor(step))
    found = [(step, int(weights)) for step, weights in kept.backwards(after)]
    assert found == [(step, step) for step in reversed(range(steps))]
    assert again.total() == max(0, steps - places)
    assert set(again.values()) <= {1}
    assert len(kept._rows) == min(steps, places), "all in one block"


def test_no_steps_keep_nothing():
    assert first_steps(0, 1) == []
    assert list(KeptWeights(0, 1, torch.zeros(3)).backwards(lambda _, weights: weights)) == []


def test_the_fewest_places():
    assert [least_places(steps) for steps in (0, 1, 2, 3, 4, 30, 50, 55, 56)] == [1, 1, 2, 2, 3, 8, 10, 10, 11]
    with pytest.raises(AssertionError, match="9 places are too few for 50 steps"):
        first_steps(50, 9)


def test_bytes_of_a_graph_are_those_of_its_maps():
    """The logits w x of 3 classes from 500 inputs: their softmax and its like, and the images, all float64; not the weights."""

    def loss(weights, images, labels):
        logits = images.flatten(1) @ weights.view(500, 3)
        return torch.nn.functional.cross_entropy(logits, labels)

    weights = torch.zeros(1500, dtype=torch.float64)
    images, labels = torch.ones(6, 1, 1, 500, dtype=torch.float64), torch.zeros(6, dtype=torch.int64)
    six, two = (graph_bytes(loss, weights, images[:count], labels[:count]) for count in (6, 2))
    assert six == 3 * two
    assert two >= 2 * (500 + 3) * 8, "at least the images and the probabilities"
    assert two <= 2 * (500 + 4 * 3 + 2) * 8
