"""Class-incremental learning: orders, steps and scores by hand, and that a step trains and tests on the classes seen."""

from __future__ import annotations

import pytest

from bacon.downstream.continual.class_steps import class_order, scores, steps_of
from bacon.runtime.errors import BaconError


def test_orders_are_permutations_that_differ_and_repeat():
    orders = [class_order(10, number) for number in range(5)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(set(orders)) == 5
    assert class_order(10, 3) == orders[3]


@pytest.mark.parametrize(
    ("classes", "steps", "sizes"), [(10, 5, [2, 2, 2, 2, 2]), (10, 3, [4, 3, 3]), (3, 3, [1, 1, 1]), (4, 1, [4])]
)
def test_steps_bring_as_many_classes_each_and_all_in_the_end(classes, steps, sizes):
    order = class_order(classes, 0)
    parts = steps_of(order, steps)
    assert [len(part) for part in parts] == sizes
    assert sum(parts, ()) == order


def test_more_steps_than_classes_are_refused():
    with pytest.raises(BaconError, match=r"downstream.continual.steps is 4, but the data set has 3 classes"):
        steps_of((0, 1, 2), 4)


def test_scores_by_hand():
    # Two classes, one class, one class: the first step's mean goes 0.9, 0.6, 0.7; the second's 0.8, 0.5.
    after = [[1.0, 0.8], [0.5, 0.7, 0.8], [0.8, 0.6, 0.5, 1.0]]
    found = scores([0.9, 0.65, 0.725], after, [2, 1, 1])
    assert found.final == 0.725
    assert found.average == pytest.approx((0.9 + 0.65 + 0.725) / 3)
    assert found.forgetting == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)


def test_one_step_forgets_nothing():
    assert scores([0.5], [[0.4, 0.6]], [2]).forgetting == 0.0
