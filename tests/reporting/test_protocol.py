from __future__ import annotations

import pandas as pd
import pytest

from bacon.artifacts.evaluation_records import parse_record
from bacon.reporting.collect.protocol_text import (
    is_soft,
    is_whitened,
    network_text,
    protocol_note,
    protocol_of,
    protocol_text,
)
from bacon.reporting.collect.recipe_text import dsa_text, labels_text
from bacon.settings.evaluation import EvaluationSettings, merged_evaluation
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocol_records import PROTOCOLS
from bacon.settings.protocols import protocol_settings
from bacon.training.schedules import rate
from tests.reporting.fakes import EVALUATION, NETWORK, record


def test_protocol_text_names_what_is_unusual():
    assert protocol_text(EvaluationSettings.model_validate(EVALUATION)) == (
        "100 epochs, SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, last epoch"
    )
    assert (
        protocol_text(EvaluationSettings(epochs=1, momentum=0.5, weight_decay=0.0, dsa_strategy="none"))
        == "1 epoch, SGD lr 0.01, momentum 0.5, weight decay 0, batch 256, no augmentation, last epoch"
    )


@pytest.mark.parametrize("epochs", range(1, 9))
def test_a_drop_of_the_learning_rate_is_named_where_there_was_one(epochs):
    settings = EvaluationSettings(epochs=epochs)
    schedule = settings.recipe(images=10, classes=10).schedule
    dropped = rate(schedule, 1.0, epochs - 1, epochs) < 1
    assert ("(÷10 halfway)" in protocol_text(settings)) == dropped


@pytest.mark.parametrize(
    ("labels", "setting", "words"),
    [
        ("classes", "hard", ["DSA without flip"]),
        ("classes", "stored", ["DSA without flip"]),
        ("probabilities", "hard", ["hard labels"]),
        ("probabilities", "stored", ["soft labels"]),
        ("logits", "stored", ["soft labels"]),
    ],
)
def test_labels_are_named_where_the_images_leave_a_choice(labels, setting, words):
    said = protocol_text(EvaluationSettings.model_validate({**EVALUATION, "labels": setting}), labels=labels)
    assert said.split(", ")[-1 - len(words) : -1] == words


def test_the_protocol_of_an_evaluation_file_follows_its_labels_and_rates():
    content = {"settings": {"evaluation": {**EVALUATION, "labels": "stored", "lr": "learned"}}}
    carried = protocol_of({**content, "labels": "logits", "learned_rates": 1})
    assert "soft labels" in carried
    assert "SGD lr learned with the images (÷10 halfway)" in carried
    plain = protocol_of(content)
    assert "labels" not in plain
    assert "SGD lr 0.01 (÷10 halfway)" in plain, "sets without a learned rate are trained with lr_net"
    each = protocol_of({**content, "learned_rates": 30})
    assert each.startswith("30 steps, SGD lr learned for each step, ")
    assert each.endswith("last step")


def test_whitened_images_are_said_of_training_and_of_regression():
    content = {"settings": {"evaluation": EVALUATION}}
    said = protocol_of({**content, "whitened": True})
    assert said == "100 epochs, SGD lr 0.01 (÷10 halfway), batch 256, ZCA-whitened images, DSA without flip, last epoch"
    assert is_whitened(said)
    assert not is_whitened(protocol_of(content))
    kernel = {"evaluation": {**EVALUATION, "augmentations": ["none"], "regression": "ntk"}}
    assert is_whitened(protocol_of({"settings": kernel, "whitened": True}))


def test_what_holds_for_some_ipcs_alone_names_them():
    places = [("mtt", 1), ("mtt", 10), ("mtt", 50), ("dm", 1), ("dm", 10), ("dm", 50)]
    accuracy = pd.DataFrame(
        [
            {
                "dataset": "d", "dataset_title": "D", "method": method, "method_title": method.upper(), "ipc": ipc,
                "network": "convnet", "network_text": "ConvNet",
                "protocol": "5 epochs" + (", ZCA-whitened images" if (method, ipc) in places[:2] else ""),
            }
            for method, ipc in places
        ]
    )  # fmt: skip
    assert protocol_note(accuracy) == "MTT IPC 1, 10: ZCA-whitened images; all: ConvNet, 5 epochs"


def test_epochs_that_the_images_decide_are_those_of_the_records():
    content = {"settings": {"evaluation": {**EVALUATION, "epochs_by_images": [[1, 3000], [10, 2000]]}}}
    records = [record(0, 0, 0.5) | {"epochs": 2000}]
    assert protocol_of({**content, "records": records}).startswith("2000 epochs, ")
    assert protocol_of({**content, "records": [parse_record(each) for each in records]}).startswith("2000 epochs, ")


# Every setting of an evaluation, each with two values that train differently, and what they need around them.
CHOICES = {
    "augmentations": ({}, ["none"], ["cifar"]),
    "epochs": ({}, 10, 20),
    "epochs_plain": ({"augmentations": ["none", "dsa"]}, None, 10),
    "steps": ({}, None, 10),
    "batch_size": ({}, 10, 20),
    "order": ({}, "shuffled", "stored"),
    "optimiser": ({}, "sgd", "adam"),
    "lr_net": ({}, 0.01, 0.02),
    "lr_search": ({}, [0.1], [0.1, 0.2]),
    "schedule": ({}, "drop", "cosine"),
    "lr_factor": ({}, 0.1, 0.3),
    "lr_milestones": ({"schedule": "multistep"}, [0.5], [0.5, 0.8]),
    "lr_warmup": ({"schedule": "warmup_cosine", "steps": 1000}, 500, 100),
    "momentum": ({}, 0.9, 0.5),
    "nesterov": ({}, False, True),
    "weight_decay": ({}, 5e-4, 0.1),
    "label_smoothing": ({}, 0.0, 0.1),
    "loss": ({}, [], [{"kind": "ce", "weight": 2}]),
    "dsa_strategy": ({}, "color_crop", "color"),
    "idc_strategy": ({"augmentations": ["idc"]}, "color_crop", "color"),
    "dc_strategy": ({"augmentations": ["dc"]}, "crop_scale", "crop"),
    "crop_pad": ({"augmentations": ["crop_flip"]}, 4, 2),
    "crop_fill": ({"augmentations": ["crop_flip"]}, "zero", "reflect"),
    "resized_crop_scale": ({"augmentations": ["random_resized_crop"]}, [0.5, 1.0], [0.1, 1.0]),
    "shuffle_patches": ({"augmentations": ["random_resized_crop"]}, 1, 2),
    "mixing": ({}, "none", "mixup"),
    "mixing_alpha": ({"mixing": "cutmix"}, 1.0, 0.5),
    "mixing_probability": ({"mixing": "cutmix"}, 1.0, 0.5),
    "clip_norm": ({}, None, 1.0),
    "ema": ({}, None, 0.9),
    "sam_rho": ({}, None, 0.1),
    "initialisation": ({}, "random", "fixed"),
    "sam_adaptive": ({"sam_rho": 0.1}, False, True),
    "sam_gap": ({"sam_rho": 0.1}, 0.0, 0.2),
    "regression": ({"augmentations": ["none"]}, "none", "ntk"),
    "regression_depth": ({"augmentations": ["none"], "regression": "nngp"}, 1, 2),
    "regression_bias_std": ({"augmentations": ["none"], "regression": "ntk"}, 0.1, 0.01),
    "regression_ridge": ({"augmentations": ["none"], "regression": "ntk"}, 1e-6, 1e-3),
    "lr": ({"learned": 1}, "fixed", "learned"),
    "labels": ({"carried": "logits"}, "hard", "stored"),
    "teachers": ({"labels": "teacher", "loss": [{"kind": "kl"}]}, {"epochs": 50}, {"epochs": 60}),
    "teacher_norms": ({"labels": "teacher", "teachers": {"runs": 2}}, "own", "equal"),
}


@pytest.mark.parametrize(
    "name", sorted(set(EvaluationSettings.model_fields) - {"seeds", "snapshot_seeds", "epochs_by_images", "test_curve"})
)
def test_every_setting_that_trains_differently_is_said(name):
    """No caption may state a protocol that did not run: a setting without words, or a new one, fails here."""
    around, *values = CHOICES[name]
    carried, learned = around.get("carried", "classes"), around.get("learned", 0)
    base = EVALUATION | {key: value for key, value in around.items() if key not in ("carried", "learned")}
    said = {
        protocol_text(EvaluationSettings.model_validate({**base, name: value}), labels=carried, learned_rates=learned)
        for value in values
    }
    assert len(said) == 2, said


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if not protocol.missing])
def test_protocols_of_the_literature_are_said_without_commas_inside_a_part(name):
    facts = DataFacts(name="cifar10", size=32, classes=10, ipc=10)
    settings = merged_evaluation(protocol_settings(name, facts), {"dsa_strategy": "color_crop_cutout_scale_rotate"})
    said = protocol_text(settings)
    assert "flip" not in said.replace("without flip", "").lower(), (
        "this strategy leaves flip out, of every augmentation"
    )
    assert len(said.split(", ")) == len(said.split(","))


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if not protocol.missing])
def test_no_protocol_that_differs_has_the_words_of_the_default(name):
    facts = DataFacts(name="cifar10", size=32, classes=10, ipc=10)
    counts = {"seeds": 5, "snapshot_seeds": 1}
    found, plain = (
        EvaluationSettings.model_validate({**keys, **counts}) for keys in (protocol_settings(name, facts), {})
    )
    carried = {"labels": "logits", "learned_rates": 1}
    assert (protocol_text(found, **carried) == protocol_text(plain, **carried)) == (found == plain)


def test_teachers_are_counted_and_named():
    by_teachers = {**EVALUATION, "labels": "teacher", "loss": [{"kind": "kl", "temperature": 20}]}
    said = {
        count: protocol_text(EvaluationSettings.model_validate(by_teachers | {"teachers": {"runs": count, **other}}))
        for count, other in ((1, {}), (3, {"network": {"architecture": "resnet18"}}))
    }
    assert "labels of a teacher of 50 epochs" in said[1]
    assert "labels of 3 teachers (ResNet-18) of 50 epochs" in said[3]


def test_other_optimisers_schedules_and_losses_are_not_called_sgd():
    facts = DataFacts(name="cifar10", size=32, classes=10, ipc=10)
    said = {name: protocol_text(merged_evaluation(protocol_settings(name, facts))) for name in ("p-ncfm", "p-frepo")}
    assert said["p-ncfm"] == (
        "2000 epochs, AdamW lr 0.001 (÷2 after 20/40/60/80 % of the training), weight decay 0.01, batch 128, "
        "IDC's list without cutout, CutMix on 50 % of the batches, last epoch"
    )
    assert said["p-frepo"] == (
        "2000 steps, Adam lr 0.0003 (up from 0 in 500, cosine to 1 %), weight decay 0, batch 500 in stored order, "
        "FRePo's list, loss MSE, last step"
    )


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


def test_labels_of_teachers_of_several_architectures_in_one_phrase():
    networks = [{"architecture": "resnet18", "norm": "batch"}, {"architecture": "wrn16_2"}]
    settings = EvaluationSettings(labels="teacher", teachers={"networks": networks, "epochs": 5}, teacher_norms="equal")
    (words,) = labels_text(settings, has_soft=False)
    assert words == "labels of 2 teachers (ResNet-18 + WRN-16-2) of 5 epochs with logits of equal norms"
    assert ", " not in words, "protocols are taken apart at commas"
    assert is_soft(f"100 epochs, {words}, last epoch")
    assert not is_soft("100 epochs, hard labels, last epoch")
