from __future__ import annotations

import pandas as pd
import pytest

from bacon.reporting.collect.protocol_text import dsa_text, network_text, protocol_note, protocol_of, protocol_text
from tests.reporting.fakes import EVALUATION, NETWORK


def test_protocol_text_names_what_is_unusual():
    text = protocol_text({**EVALUATION, "epochs": 1, "momentum": 0.5, "weight_decay": 0.0, "dsa_strategy": "none"})
    assert text == ("1 epoch, SGD lr 0.01, momentum 0.5, weight decay 0, batch 256, no augmentation, last epoch")


@pytest.mark.parametrize("epochs", range(1, 9))
def test_a_drop_of_the_learning_rate_is_named_where_there_was_one(epochs):
    from bacon.settings.evaluation import EvaluationSettings

    settings = EvaluationSettings(epochs=epochs)
    # The rule of the training loop: the last epoch is no place for a drop.
    dropped = settings.lr_drop_epoch() in range(epochs - 1)
    assert ("(÷10 halfway)" in protocol_text(settings.model_dump())) == dropped


@pytest.mark.parametrize(
    ("labels", "setting", "words"),
    [
        ("classes", None, ["DSA without flip"]),
        ("classes", "stored", ["DSA without flip"]),
        ("probabilities", None, ["hard labels"]),
        ("probabilities", "hard", ["hard labels"]),
        ("probabilities", "stored", ["soft labels"]),
        ("logits", "stored", ["soft labels"]),
    ],
)
def test_labels_are_named_where_the_images_leave_a_choice(labels, setting, words):
    settings = {**EVALUATION} | ({} if setting is None else {"labels": setting})
    assert protocol_text(settings, labels=labels).split(", ")[-1 - len(words) : -1] == words


def test_the_protocol_of_an_evaluation_file_follows_its_labels():
    content = {"settings": {"evaluation": {**EVALUATION, "labels": "stored"}}}
    assert "soft labels" in protocol_of({**content, "labels": "logits"})
    assert "labels" not in protocol_of(content)


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("color_crop_cutout_flip_scale_rotate", "DSA"),
        ("color_crop_cutout_scale_rotate", "DSA without flip"),
        ("color_crop_cutout_scale", "DSA without flip and rotate"),
        ("color_crop", "DSA color+crop"),
        ("none", "no augmentation"),
    ],
)
def test_dsa_text(strategy, text):
    assert dsa_text(strategy) == text


def test_network_text():
    assert network_text(NETWORK) == "ConvNet, depth 3, width 32, instance norm"
    assert network_text({"architecture": "convnet", "depth": 2, "width": 8, "norm": "none"}).endswith("no norm")


def test_protocol_note_states_differences_with_their_scope(accuracy_of):
    table = accuracy_of()
    assert protocol_note(table) == (
        "Full data set: 40 epochs; methods: 100 epochs; all: ConvNet, depth 3, width 32, instance norm, "
        "SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, last epoch"
    )
    distilled = table[table["method"] != "full"]
    assert protocol_note(distilled).startswith("ConvNet, depth 3, width 32, instance norm, 100 epochs")


def test_several_networks_are_named_after_the_protocol(accuracy_of):
    """Not every network with every protocol: the note would have a part for each pair."""
    table = accuracy_of()
    other = table.assign(network="lenet", network_text="LeNet, no norm")
    assert protocol_note(pd.concat([table, other])) == (
        "Full data set: 40 epochs; methods: 100 epochs; all: SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, "
        "last epoch; networks: convnet (ConvNet, depth 3, width 32, instance norm), lenet (LeNet, no norm)"
    )
