from __future__ import annotations

import pandas as pd
import pytest

from bacon.reporting.collect.protocol_text import network_text, protocol_note, protocol_of, protocol_text
from bacon.reporting.collect.recipe_text import dsa_text
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.protocols import PROTOCOLS, DataFacts, protocol_settings
from tests.reporting.fakes import EVALUATION, NETWORK


def test_protocol_text_names_what_is_unusual():
    text = protocol_text({**EVALUATION, "epochs": 1, "momentum": 0.5, "weight_decay": 0.0, "dsa_strategy": "none"})
    assert text == ("1 epoch, SGD lr 0.01, momentum 0.5, weight decay 0, batch 256, no augmentation, last epoch")


@pytest.mark.parametrize("epochs", range(1, 9))
def test_a_drop_of_the_learning_rate_is_named_where_there_was_one(epochs):
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


def settings_of(protocol, dataset="cifar10", size=32, ipc=10):
    facts = DataFacts(name=dataset, size=size, classes=10, ipc=ipc)
    return EvaluationSettings.model_validate(protocol_settings(protocol, facts)).model_dump(mode="json")


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("p-dsa", "1001 epochs, SGD lr 0.01 (÷10 halfway), batch 256, DSA, last epoch"),
        ("p-mtt", "1001 epochs, SGD lr learned (else 0.01) (÷10 halfway), batch 256, DSA, last epoch"),
        (
            "p-ncfm",
            "2000 epochs, AdamW lr 0.001 (÷2 at 20/40/60/80 %), weight decay 0.01, batch 128, IDC's augmentation, "
            "CutMix on 50 % of batches, last epoch",
        ),
        (
            "p-frepo",
            "1000 steps, Adam lr 0.0003, weight decay 0, batch 500, FRePo's augmentation, MSE, weights averaged with decay "
            "0.995, soft labels, last step",
        ),
        (
            "p-dd",
            "30 steps, SGD lr learned (else 0.01), momentum 0, weight decay 0, batch 256, no augmentation, one image of each "
            "class a step, hard labels, last step",
        ),
    ],
)
def test_published_protocols_in_words(protocol, text):
    labels = "logits" if "labels" in text else "classes"
    assert protocol_text(settings_of(protocol), labels=labels) == text


@pytest.mark.parametrize("protocol", [name for name, record in PROTOCOLS.items() if not record.missing])
def test_every_protocol_has_words_and_no_two_that_differ_have_the_same(protocol):
    """Captions state what ran: a key that a protocol changes is seen in its words."""
    found = settings_of(protocol)
    counts = {"seeds": 5, "snapshot_seeds": 1}
    plain = EvaluationSettings().model_dump(mode="json")
    same = {**found, **counts} == {**plain, **counts}
    assert (protocol_text(found) == protocol_text(plain)) == same


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
    imagenet = {"architecture": "resnet50", "norm": "batch", "stem": "7x7"}
    assert network_text(imagenet) == "ResNet-50, 7x7 stem, batch norm"


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
