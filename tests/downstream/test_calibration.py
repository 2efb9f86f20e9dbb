"""ECE, NLL, Brier score and temperature scaling against hand values, and against scikit-learn where it has them."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from bacon.downstream.calibration.calibration_scores import (
    best_temperature,
    brier_score,
    negative_log_likelihood,
    reliability,
)
from bacon.runtime.errors import BaconError

# Probabilities of the first class: .95 (right), .95 (wrong), .65 (right), .55 (right: the second class has .45).
PROBABILITIES = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.55, 0.45]])
LABELS = np.array([0, 1, 0, 0])
LOGITS = np.log(PROBABILITIES)


def random_logits(images=200, classes=5, seed=0):
    generator = np.random.default_rng(seed)
    return 3 * generator.normal(size=(images, classes)), generator.integers(0, classes, images)


def test_ece_by_hand():
    """Ten bins: (.5, .6] holds one image, sure .55 and right; (.6, .7] one, .65; (.9, 1] two, .95, one of them right."""
    diagram = reliability(LOGITS, LABELS, 10)
    assert diagram.counts.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]
    assert diagram.error == pytest.approx((1 * 0.45 + 1 * 0.35 + 2 * abs(0.5 - 0.95)) / 4)
    assert diagram.accuracy[9] == 0.5
    assert diagram.confidence[9] == pytest.approx(0.95)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    diagram = reliability(np.log([[0.5, 0.5], [1.0, 1e-300]]), np.array([0, 0]), 2)
    assert diagram.counts.tolist() == [1, 1]


def test_nll_and_brier_score_by_hand():
    assert negative_log_likelihood(LOGITS, LABELS) == pytest.approx(-sum(map(math.log, (0.95, 0.05, 0.65, 0.55))) / 4)
    assert brier_score(LOGITS, LABELS) == pytest.approx(2 * (0.05**2 + 0.95**2 + 0.35**2 + 0.45**2) / 4)


def test_nll_and_brier_score_are_scikit_learns():
    logits, labels = random_logits()
    probabilities = softmax(logits, axis=1)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, probabilities), rel=1e-12)
    expected = brier_score_loss(labels, probabilities, labels=range(5), scale_by_half=False)
    assert brier_score(logits, labels) == pytest.approx(expected, rel=1e-12)


def test_the_temperature_undoes_a_scale():
    """Labels drawn from the softmax of logits are best fitted by temperature 1; by 4 where logits are four times as large."""
    generator = np.random.default_rng(1)
    logits = 2 * generator.normal(size=(4000, 4))
    labels = (softmax(logits, axis=1).cumsum(axis=1) > generator.uniform(size=(4000, 1))).argmax(axis=1)
    one = best_temperature(logits, labels)
    assert one == pytest.approx(1.0, abs=0.06)
    assert best_temperature(4 * logits, labels) == pytest.approx(4 * one, rel=1e-3)
    step = 1e-3
    at = [negative_log_likelihood(logits / (one * (1 + shift)), labels) for shift in (-step, 0, step)]
    assert at[1] <= min(at)


def test_a_validation_split_without_images_is_refused():
    with pytest.raises(BaconError, match="no image"):
        best_temperature(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
