"""Steps and images of training a network, counted by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bacon.evaluation.evaluate_cell import training_work
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.recipe import TrainingRecipe


@pytest.mark.parametrize(
    ("recipe", "images", "seen"),
    [
        ({"epochs": 3, "batch_size": 4}, 10, 30),  # 3, the last with 2
        ({"steps": 7, "batch_size": 4}, 10, 10 + 10 + 4),  # two passes of 3 steps, and a batch
        ({"steps": 5, "batch_size": 4}, 10, 10 + 8),
        ({"steps": 6, "batch_size": 4}, 10, 20),
        ({"steps": 2, "batch_size": 256}, 10, 20),
    ],
)
def test_images_of_all_batches(recipe, images, seen):
    assert TrainingRecipe(**recipe).images_seen(images) == seen


def work(rates=(), **evaluation):
    job = SimpleNamespace(evaluation=EvaluationSettings(**evaluation))
    return training_work(job, images=10, classes=2, rates=rates)


def test_every_augmentation_has_its_own_work():
    found = work(augmentations=("dsa", "none"), epochs=5, epochs_plain=3, batch_size=4)
    assert found == {"steps": {"dsa": 15, "none": 9}, "images_seen": {"dsa": 50, "none": 30}}


def test_learned_rates_of_steps_make_the_training():
    found = work(rates=(0.1, 0.2, 0.1), augmentations=("none",), epochs=5, batch_size=10, lr="learned")
    assert found == {"steps": {"none": 3}, "images_seen": {"none": 30}}


def test_a_regression_trains_nothing():
    found = work(augmentations=("none",), regression="ntk")
    assert found == {"steps": {"none": 0}, "images_seen": {"none": 0}}
