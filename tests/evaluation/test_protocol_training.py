"""What a protocol makes of a network before its first epoch: its first weights, and a rate that depends on the network."""

from __future__ import annotations

from dataclasses import replace

import torch

from bacon.evaluation import protocol_training
from bacon.evaluation.protocol_training import NetworkTraining, begun
from bacon.training.loop import Training
from tests.toy_images import CLASSES, NETWORK, float_set, settings

GIVEN = NetworkTraining(train=float_set(19), network=NETWORK, evaluation=settings(), classes=CLASSES, seed=(1, 2))


def first_weights(given: NetworkTraining) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in begun(given).model.parameters()])


def test_the_fixed_initialisation_is_one_for_each_distillation_seed():
    fixed = replace(GIVEN, evaluation=settings(initialisation="fixed"))
    assert torch.equal(first_weights(fixed), first_weights(replace(fixed, seed=(1, 3))))
    assert not torch.equal(first_weights(fixed), first_weights(replace(fixed, seed=(2, 2))))
    assert not torch.equal(first_weights(GIVEN), first_weights(replace(GIVEN, seed=(1, 3))))


def test_a_stable_rate_is_found_on_the_validation_images_where_there_are_some():
    squared = settings(lr="ntk", lr_net=0.5, loss=[{"kind": "mse", "over_classes": "mean"}])
    given, held_out = replace(GIVEN, evaluation=squared), float_set(12, seed=3)
    alone, beside, instead = (
        begun(each).recipe.optimiser.lr
        for each in (given, replace(given, validation=held_out), replace(given, train=held_out))
    )
    assert beside == instead != alone


def test_a_training_takes_as_many_images_at_once_as_it_is_told(monkeypatch):
    told = []

    def training(*args, images_at_once, **options):
        told.append(images_at_once)
        return Training(*args, images_at_once=images_at_once, **options)

    monkeypatch.setattr(protocol_training, "Training", training)
    begun(replace(GIVEN, images_at_once=5))
    assert told == [5]
