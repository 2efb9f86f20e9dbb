"""Every loss against its formula, written out image by image in float64."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from bacon.settings.recipe import LossTermSettings, TrainingRecipe
from bacon.training.recipe_loss import loss_of

B, K = 5, 4
GENERATOR = torch.Generator().manual_seed(0)
LOGITS, SOFT = (torch.randn(B, K, dtype=torch.float64, generator=GENERATOR) * 3 for _ in range(2))
PROBABILITIES = torch.softmax(SOFT, dim=1)
LABELS = torch.tensor([0, 3, 1, 1, 2])
ONE_HOT = torch.nn.functional.one_hot(LABELS, K).double()
MIXED = ONE_HOT * 0.7 + 0.3 / K


def found(*terms, soft=None, mixed=None, soft_kind="logits", **changes):
    """The loss of a recipe with ``terms``."""
    recipe = TrainingRecipe(epochs=1, loss=[LossTermSettings(**term) for term in terms], **changes)
    return loss_of(recipe, soft_kind)(LOGITS, LABELS, mixed, soft).item()


def softmax(values, temperature=1.0):
    powers = [math.exp((value - max(values)) / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def cross_entropy(target, logits, temperature=1.0):
    return -sum(t * math.log(q) for t, q in zip(target, softmax(logits, temperature), strict=True))


def mean_over_images(term, targets):
    return sum(term(target, logits) for target, logits in zip(targets, LOGITS.tolist(), strict=True)) / B


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("mixed", [None, MIXED])
def test_hard_cross_entropy(smoothing, mixed):
    targets = ONE_HOT if mixed is None else mixed
    smooth = ((1 - smoothing) * targets + smoothing / K).tolist()
    expected = mean_over_images(cross_entropy, smooth)
    assert found({"kind": "ce"}, mixed=mixed, label_smoothing=smoothing) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("soft", "kind"), [(SOFT, "logits"), (PROBABILITIES, "probabilities")])
def test_soft_cross_entropy_of_probabilities_and_of_logits(soft, kind):
    expected = mean_over_images(cross_entropy, PROBABILITIES.tolist())
    assert found({"kind": "soft_ce"}, soft=soft, soft_kind=kind, labels="stored") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("soft", "kind"), [(SOFT, "logits"), (PROBABILITIES, "probabilities")])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_at_a_temperature(soft, kind, scaled, temperature):
    def divergence(target, logits):
        p, q = softmax(target, temperature), softmax(logits, temperature)
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    expected = mean_over_images(divergence, SOFT.tolist()) * (temperature**2 if scaled else 1)
    term = {"kind": "kl", "temperature": temperature, "scaled": scaled}
    assert found(term, soft=soft, soft_kind=kind, labels="stored") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("over_classes", ["mean", "sum"])
def test_squared_difference_of_logits(over_classes):
    def squared(target, logits):
        return sum((a - b) ** 2 for a, b in zip(target, logits, strict=True)) / (K if over_classes == "mean" else 1)

    term = {"kind": "mse", "over_classes": over_classes}
    expected = mean_over_images(squared, SOFT.tolist())
    assert found(term, soft=SOFT, labels="stored") == pytest.approx(expected, rel=1e-12)
    centred = mean_over_images(squared, (ONE_HOT - 1 / K).tolist())
    assert found(term) == pytest.approx(centred, rel=1e-12)


def test_without_soft_labels_the_class_takes_their_place():
    hard = found({"kind": "ce"})
    assert found({"kind": "soft_ce"}, labels="stored") == hard
    tempered = mean_over_images(lambda t, x: cross_entropy(t, x, 2.0), ONE_HOT.tolist())
    assert found({"kind": "kl", "temperature": 2.0}, labels="stored") == pytest.approx(tempered, rel=1e-12)


def test_terms_are_added_with_their_weights():
    terms = [{"kind": "mse"}, {"kind": "ce", "weight": 0.15}, {"kind": "kl", "temperature": 3.0, "weight": 2.0}]
    alone = [found(term, soft=SOFT, labels="stored") for term in ({"kind": "mse"}, {**terms[2], "weight": 1.0})]
    expected = alone[0] + 0.15 * found({"kind": "ce"}) + 2 * alone[1]
    assert found(*terms, soft=SOFT, labels="stored") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"epochs": 1, "steps": 2}, "either `epochs` or `steps`"),
        ({}, "either `epochs` or `steps`"),
        ({"epochs": 1, "loss": [{"kind": "kl"}]}, "`labels` are hard, but the loss kl"),
        ({"epochs": 1, "labels": "stored"}, "`labels` are stored, but the loss ce uses only classes"),
        ({"epochs": 1, "labels": "teacher"}, "`labels` are teacher"),
        ({"epochs": 1, "loss": [{"kind": "ce", "temperature": 2}]}, "the loss ce has no `temperature`"),
        ({"epochs": 1, "loss": [{"kind": "mse"}], "label_smoothing": 0.1}, "`label_smoothing` is for the loss ce"),
        ({"epochs": 1, "rates": [0.1, 0.2]}, "count `steps`"),
        ({"steps": 2, "rates": [0.1, 0.2], "schedule": {"kind": "cosine"}}, "the schedule cosine"),
        ({"epochs": 1, "schedule": {"kind": "multistep", "milestones": [0.5, 0.2]}}, "not ascending"),
        ({"epochs": 1, "optimiser": {"kind": "sgd", "momentum": 0, "nesterov": True}}, "`nesterov` needs"),
        ({"epochs": 1, "augmentation": {"family": "idc", "strategy": "turn"}}, "unknown IDC operation 'turn'"),
        ({"epochs": 1, "augmentation": {"family": "random_resized_crop", "scale": [0.5, 0.2]}}, "`scale`"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        TrainingRecipe(**keys)


def test_a_recipe_survives_json():
    recipe = TrainingRecipe(
        steps=3,
        optimiser={"kind": "adamw", "lr": 0.1},
        schedule={"kind": "multistep"},
        augmentation={"family": "crop_flip"},
        mixing={"kind": "cutmix"},
        sharpness={"rho": 0.1},
    )
    assert TrainingRecipe.model_validate_json(recipe.model_dump_json()) == recipe
