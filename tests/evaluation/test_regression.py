"""Evaluation by kernel ridge regression: against its definition, what it uses of a set, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from bacon.evaluation import regression
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.regression import KernelRegression
from bacon.evaluation.train_and_test import train_and_test
from bacon.networks.infinite_width import dense_kernel
from bacon.runtime.errors import BaconError
from bacon.settings.evaluation import EvaluationSettings
from tests.methods.naive_kernels import centred
from tests.methods.naive_kernels import regression as plain_regression
from tests.toy_images import CLASSES, NETWORK, float_set, uint8_set

KERNEL = {"regression": "ntk", "augmentations": ["none"], "labels": "stored"}


def settings(**changes):
    return EvaluationSettings.model_validate(KERNEL | changes)


def predicted(train, images, targets, *, kind="ntk", depth=1, bias_std=0.1, ridge=1e-6):
    kernel = dense_kernel(kind, depth=depth, bias_std=bias_std)
    support, rows = (train.normalised(part).flatten(1).double() for part in (train.images, images))
    return plain_regression(kernel(rows, support), kernel(support, support), targets, ridge)


def outcome(train, test, **changes):
    return train_and_test(
        NetworkTraining(train=train, network=NETWORK, evaluation=settings(**changes), classes=CLASSES, seed=(0, 0)),
        test,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"regression": "nngp", "regression_depth": 3},
        {"regression_bias_std": 0.5, "regression_ridge": 1e-2},
    ],
)
def test_it_is_ridge_regression_from_the_classes(changes):
    train, test = float_set(12, seed=1), float_set(30, seed=2)
    chosen = settings(**changes)
    wanted = predicted(
        train,
        test.images,
        centred(train.labels, CLASSES),
        kind=chosen.regression,
        depth=chosen.regression_depth,
        bias_std=chosen.regression_bias_std,
        ridge=chosen.regression_ridge,
    )
    model = KernelRegression(train, chosen, CLASSES)
    torch.testing.assert_close(model(test.images), wanted, rtol=1e-6, atol=1e-8)
    accuracy = float((wanted.argmax(dim=1) == test.labels).double().mean())
    found = outcome(train, test, **changes)
    assert found.test_accuracy == pytest.approx(accuracy)
    assert sum(map(sum, found.confusion)) == 30
    assert (found.epochs, found.validation_accuracy) == (0, None)


def test_it_tells_real_images_apart_and_fits_its_own():
    found = outcome(uint8_set(40), uint8_set(60, seed=1))
    assert found.test_accuracy > 0.9
    assert found.train_accuracy == 1.0
    assert found.train_loss < 1e-6


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_stored_labels_are_its_targets_and_hard_ones_the_classes(kind):
    plain = float_set(8, seed=1)
    soft = torch.rand(8, CLASSES, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    train = replace(plain, soft=soft, soft_kind=kind)
    targets = soft.double() - (1 / CLASSES if kind == "probabilities" else 0)
    stored = KernelRegression(train, settings(), CLASSES)(plain.images)
    torch.testing.assert_close(stored, predicted(train, plain.images, targets), rtol=1e-6, atol=1e-8)
    hard = KernelRegression(train, settings(labels="hard"), CLASSES)(plain.images)
    torch.testing.assert_close(hard, KernelRegression(plain, settings(), CLASSES)(plain.images))


def test_soft_labels_of_another_number_of_classes_are_refused():
    train = replace(float_set(4), soft=torch.rand(4, CLASSES + 1), soft_kind="logits")
    with pytest.raises(BaconError, match=f"soft labels of {CLASSES + 1} classes for a network of {CLASSES} classes"):
        outcome(train, float_set(4))


def test_a_set_that_is_too_large_is_refused_before_its_kernel_is_made(monkeypatch):
    monkeypatch.setattr(regression, "MOST_IMAGES", 5)
    with pytest.raises(BaconError, match=r"from 6 images needs a matrix of .* at most 5 images"):
        KernelRegression(float_set(6), settings(), CLASSES)


@pytest.mark.parametrize("changes", [{"augmentations": ["dsa"]}, {"lr_search": [0.1]}])
def test_settings_of_training_that_it_cannot_keep_are_refused(changes):
    with pytest.raises(ValidationError, match="which trains no network"):
        settings(**changes)
