"""Test accuracy at points before the end: what it is, that it changes nothing, and that it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from bacon.artifacts.evaluation_records import Record, RecordCache, parse_record
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from tests.toy_images import CLASSES, NETWORK, settings, uint8_set


def outcome(*, epochs=4, validation=None, network=NETWORK, **changes):
    train, test = uint8_set(24), uint8_set(40, seed=1)
    chosen = settings(epochs=epochs, schedule="constant", lr_net=0.05, batch_size=8, **changes)
    return train_and_test(
        NetworkTraining(
            train=train, network=network, evaluation=chosen, classes=CLASSES, seed=(0, 0), validation=validation
        ),
        test,
    )


BATCH_NORM = {"network": NETWORK.model_copy(update={"norm": "batch"})}


@pytest.mark.parametrize("changes", [{}, {"ema": 0.8}, BATCH_NORM], ids=["plain", "averaged weights", "batch norm"])
def test_a_point_is_what_training_until_there_gives_and_changes_nothing(changes):
    plain, curve = outcome(**changes), outcome(test_curve=[0.5, 0.75], validation=uint8_set(12, seed=2), **changes)
    assert curve.curve_epochs == [2, 3]
    for name in ("test_accuracy", "train_loss", "train_accuracy", "confusion"):
        assert getattr(curve, name) == getattr(plain, name), name
    for epochs, accuracy in zip(curve.curve_epochs, curve.curve_test, strict=True):
        assert accuracy == outcome(epochs=epochs, **changes).test_accuracy
    assert len(curve.curve_validation) == 2
    assert plain.curve_epochs == plain.curve_test == plain.curve_validation == []


def test_without_a_validation_split_there_is_no_curve_of_it():
    assert outcome(test_curve=[0.5]).curve_validation == []


def test_points_are_whole_epochs_before_the_end():
    chosen = settings(test_curve=[0.001, 0.5, 0.51, 0.999])
    assert chosen.curve_epochs(10) == (1, 5, 6)
    assert chosen.curve_epochs(1) == ()


def record(**changes):
    whole = {
        "iteration": 0, "final": True, "evaluation_seed": 0, "augmentation": "dsa", "lr_net": 0.01, "test_accuracy": 0.5,
        "train_accuracy": 0.5, "train_loss": 0.1, "epochs": 4, "wall_seconds": 1.0, "fingerprint": "f",
        "confusion": [[1, 0], [0, 1]], "class_accuracy": [1.0, 1.0], "validation_accuracy": None,
    }  # fmt: skip
    return Record(**whole | changes)


def test_a_curve_is_kept_and_a_record_without_one_is_as_it_was(tmp_path):
    curve = record(curve_epochs=[2], curve_test=[0.25])
    cache = RecordCache(folder=tmp_path, fingerprint="f")
    for one in (curve, record(iteration=1)):
        cache.store(one)
        assert cache.load(one.key) == one
    assert not {name for name in json.loads(cache.path(record(iteration=1).key).read_text()) if "curve" in name}


@pytest.mark.parametrize("changes", [{"curve_test": []}, {"curve_test": [1]}, {"curve_validation": [0.1, 0.2]}])
def test_half_a_curve_is_no_record(changes):
    with pytest.raises(ValueError, match="curve"):
        parse_record(asdict(record(curve_epochs=[2], curve_test=[0.25])) | changes)
