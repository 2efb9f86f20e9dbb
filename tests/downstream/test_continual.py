"""Class-incremental learning: orders, steps and scores by hand, and that a step trains and tests on the classes seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bacon.config.loading import check_config
from bacon.downstream.continual import algorithm
from bacon.downstream.continual.algorithm import Continual
from bacon.downstream.continual.class_steps import class_order, scores, steps_of
from bacon.downstream.continual.record import ContinualSettings
from bacon.evaluation.protocol_training import NetworkTraining, trained_network
from bacon.runtime.errors import BaconError
from bacon.training.image_set import ImageSet
from tests.downstream.toy_cells import CLASSES, NETWORK, context, selection
from tests.toy_images import MEAN, STD


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


def values(measured, metric):
    return [one.value for one in measured.measurements if one.metric == metric]


def test_each_step_is_a_training_from_scratch_on_the_classes_seen(tmp_path):
    given = context(tmp_path, synthetic=selection())
    found = Continual(ContinualSettings(steps=2, orders=3), given).measure(4)
    order = class_order(CLASSES, 1)  # repetition 4 of 3 orders
    assert found.details["class_order"] == list(order)
    first = order[:2]
    kept = torch.tensor([place for place in range(8) if int(given.train.labels[place]) in first])
    labels = torch.tensor([first.index(int(given.train.labels[place])) for place in kept])
    images = ImageSet.of_normalised(given.train.images[kept], labels, mean=MEAN, std=STD)
    network = trained_network(
        NetworkTraining(train=images, network=NETWORK, evaluation=given.evaluation, classes=2, seed=(1, 4))
    )
    tests = [place for place in range(32) if int(given.test.labels[place]) in first]
    said = network(given.test.at(torch.tensor(tests))).argmax(dim=1).tolist()
    right = [order[guess] == int(given.test.labels[place]) for guess, place in zip(said, tests, strict=True)]
    after = {one.at: one.value for one in found.measurements if one.metric == "accuracy"}
    assert after[2.0] == pytest.approx(sum(right) / len(right))
    assert sorted(after) == [2.0, 4.0]
    assert values(found, "final") == [after[4.0]]
    assert after[4.0] > 0.8


def test_teacher_and_validation_images_are_those_of_the_classes_seen(tmp_path, monkeypatch):
    given = context(tmp_path, synthetic=selection(), data={"validation": 16}, labels="teacher", epochs=1)
    given.cell_networks.networks.teacher = lambda images: torch.arange(float(CLASSES)).expand(len(images), CLASSES)
    asked = []
    monkeypatch.setattr(algorithm, "trained_network", lambda one: asked.append(one) or trained_network(one))
    Continual(ContinualSettings(steps=2), given).measure(0)
    order = class_order(CLASSES, 0)
    for one, seen in zip(asked, (order[:2], order), strict=True):
        assert one.teacher(given.train.images[:1]).tolist() == [list(seen)]
        assert one.validation.labels.unique().tolist() == list(range(len(seen)))
        assert len(one.validation) == 4 * len(seen)


def test_a_stopped_stream_goes_on_after_its_last_step(tmp_path, monkeypatch):
    task = Continual(ContinualSettings(steps=4), context(tmp_path, synthetic=selection(), epochs=2))
    whole = task.measure(0)
    monkeypatch.setattr(algorithm, "trained_network", lambda *_, **__: pytest.fail("trained again"))
    assert Continual(ContinualSettings(steps=4), context(tmp_path, synthetic=selection(), epochs=2)).measure(0) == whole


def test_soft_labels_train_on_the_classes_seen(tmp_path):
    hard = selection()
    soft = torch.nn.functional.one_hot(hard.classes, CLASSES).float() * 0.6 + 0.1
    given = context(tmp_path, synthetic=replace(hard, soft=soft, soft_kind="probabilities"), labels="stored", epochs=40)
    found = Continual(ContinualSettings(steps=2), given).measure(0)
    assert values(found, "final")[0] > 0.8


def test_more_steps_than_a_registered_data_set_has_classes_are_refused_with_the_configuration():
    grid = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "downstream": ["continual"]}
    with pytest.raises(BaconError, match=r"digits: downstream.continual.steps is 11, but the data set has 10"):
        check_config({"preset": "smoke", "grid": grid, "downstream": {"continual": {"steps": 11}}})
