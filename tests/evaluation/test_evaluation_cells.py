"""Evaluating cells: the file that reports read, and records that are never computed twice."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import torch

from bacon.artifacts.distilled_file import DistillationResult, write_distilled
from bacon.artifacts.evaluation_records import RecordCache, RecordKey, read_evaluation
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.evaluation import trained_networks as networks
from bacon.evaluation.evaluate_cell import evaluate_distilled, evaluate_full
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test, trial
from bacon.runtime.errors import BaconError
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.batches import ImageSet
from bacon.training.run_driver import train_block
from bacon.training.run_networks import run_network
from bacon.transforms.partition import decode
from tests.fake_streams import FakeGpu
from tests.toy_images import CLASSES, CPU, MEAN, NETWORK, STD, float_set, settings, toy, uint8_set
from tests.training.blocks import block_job
from tests.training.blocks import trained as blocks_trained

FACTOR = 2
FINGERPRINTS = EvaluationFingerprints(rule="rule-1", record="record-1", data="data-1", distilled="distilled-1")


@pytest.fixture
def paths(tmp_path) -> dict[str, Path]:
    return {
        "data": tmp_path / "data.h5",
        "distilled": tmp_path / "distilled.h5",
        "output": tmp_path / "evaluation.json",
        "cache": tmp_path / "cache",
    }


@pytest.fixture
def dataset(paths) -> ImageDataset:
    train, train_labels = toy(40)
    test, test_labels = toy(30, seed=1)
    made = ImageDataset(
        name="toy",
        train_images=train,
        train_labels=train_labels,
        test_images=test,
        test_labels=test_labels,
        class_names=("rows", "columns"),
        mean=MEAN,
        std=STD,
        fingerprint="data-1",
    )
    write_dataset(paths["data"], made, attributes={})
    return made


@pytest.fixture
def distilled(paths) -> DistillationResult:
    classes = torch.tensor([0, 0, 1, 1])
    snapshots = {
        iteration: SyntheticSet(images=float_set(4, seed=iteration).images, classes=classes, partition=FACTOR)
        for iteration in (0, 10, 20)
    }
    made = DistillationResult(
        synthetic=snapshots[20],
        snapshots=snapshots,
        attributes={"fingerprint": "distilled-1", "iterations": 20, "class_names": ["a", "b"]},
    )
    write_distilled(paths["distilled"], made)
    return made


def job(paths, fingerprints=FINGERPRINTS, seed=2, **changes) -> EvaluationJob:
    return EvaluationJob(
        dataset="toy",
        method="bacon",
        ipc=2,
        seed=seed,
        network_name="convnet",
        network=NETWORK,
        evaluation=settings(**({"epochs": 2, "seeds": 2, "snapshot_seeds": 1} | changes)),
        protocol="paper",
        fingerprints=fingerprints,
        cache=paths["cache"],
        device=CPU,
        at_once=1,
    )


def evaluate(paths, **changes) -> dict:
    evaluate_distilled(
        job(paths, **changes), distilled_path=paths["distilled"], data_path=paths["data"], output=paths["output"]
    )
    return json.loads(paths["output"].read_text())


@pytest.fixture
def trained(monkeypatch) -> list[tuple]:
    """Seeds of the networks that are really trained, in order."""
    calls = []

    def counted(given, *args, **kwargs):
        calls.append(given.seed)
        return train_and_test(given, *args, **kwargs)

    monkeypatch.setattr(networks, "train_and_test", counted)
    return calls


def stable(records: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name != "wall_seconds"} for record in records]


@pytest.mark.usefixtures("dataset", "distilled")
def test_an_evaluation_leaves_nothing_of_what_it_has_read_in_memory(paths, monkeypatch):
    """Data set, images of all snapshots, networks: a job has many evaluations, one after another."""
    there, made = weakref.WeakSet(), networks.Networks.__init__

    def noted(self, *args, **options):
        there.add(self)
        made(self, *args, **options)

    monkeypatch.setattr(networks.Networks, "__init__", noted)
    gc.disable()
    try:
        evaluate(paths)
        assert not there
    finally:
        gc.enable()


@pytest.mark.usefixtures("dataset", "distilled")
def test_the_evaluation_file_holds_everything_the_reports_need(paths):
    content = evaluate(paths)
    assert {name: content[name] for name in ("fingerprint", "dataset", "method", "ipc", "seed", "network")} == {
        "fingerprint": "rule-1",
        "dataset": "toy",
        "method": "bacon",
        "ipc": 2,
        "seed": 2,
        "network": "convnet",
    }
    assert content["distilled_fingerprint"] == "distilled-1"
    assert NetworkSettings(**content["settings"]["network"]) == NETWORK
    assert EvaluationSettings(**content["settings"]["evaluation"]) == job(paths).evaluation
    assert torch.__version__.startswith(content["provenance"]["packages"]["torch"])
    keys = [(record["iteration"], record["evaluation_seed"], record["final"]) for record in content["records"]]
    assert keys == [(0, 0, False), (10, 0, False), (20, 0, True), (20, 1, True)]
    for record in content["records"]:
        assert 0 <= record["test_accuracy"] <= 1
        assert 0 <= record["train_accuracy"] <= 1
        assert record["epochs"] == 2
        assert record["wall_seconds"] > 0
        assert record["fingerprint"] == "record-1"


@pytest.mark.usefixtures("dataset", "distilled")
def test_the_evaluation_file_reads_back_as_records(paths):
    content = evaluate(paths)
    read = read_evaluation(paths["output"])
    assert [record.content() for record in read["records"]] == content["records"]
    assert {name: read[name] for name in content if name != "records"} == {
        name: content[name] for name in content if name != "records"
    }
    for record in read["records"]:
        assert [sum(row) for row in record.confusion] == [15, 15]
        assert record.test_accuracy == (record.confusion[0][0] + record.confusion[1][1]) / 30
        assert record.class_accuracy == [record.confusion[label][label] / 15 for label in range(2)]
        assert (record.augmentation, record.lr_net, record.validation_accuracy) == ("dsa", 0.01, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"fingerprint": "x", "records": []}', r"version 1, this program reads version 2.*run `snakemake` again"),
        ('{"version": 3, "records": []}', r"version 3"),
        ('{"version": 2, "records": [{}]}', r"not a complete evaluation file \(not the fields of a record\)"),
        ('{"version": 2, "records": 1}', r"not a complete evaluation file"),
        ("[1]", "not an evaluation file"),
        ("{", "not a readable evaluation file"),
    ],
)
def test_an_evaluation_file_of_an_older_version_or_damaged_is_a_clear_error(tmp_path, text, message):
    path = tmp_path / "convnet.json"
    path.write_text(text)
    with pytest.raises(BaconError, match=rf"convnet\.json: .*{message}"):
        read_evaluation(path)
    with pytest.raises(BaconError, match=r"absent\.json: the evaluation is missing"):
        read_evaluation(tmp_path / "absent.json")


def test_validation_accuracy_is_recorded_where_there_is_a_validation_split(paths, dataset, distilled):
    images, labels = toy(17, seed=2)
    held_out = replace(dataset, validation_images=images, validation_labels=labels)
    write_dataset(paths["data"], held_out, attributes={})
    record = evaluate(paths, snapshot_seeds=0)["records"][0]
    validation = ImageSet.of_uint8(images, labels, mean=MEAN, std=STD, device=CPU)
    train = ImageSet(
        images=decode(distilled.synthetic.images, FACTOR),
        labels=distilled.synthetic.classes.repeat_interleave(FACTOR**2),
    )
    arguments = {"network": NETWORK, "evaluation": job(paths).evaluation, "classes": CLASSES, "seed": (2, 0)}
    assert (
        record["validation_accuracy"]
        == train_and_test(NetworkTraining(train=train, **arguments), validation).test_accuracy
    )


@pytest.mark.usefixtures("dataset")
def test_records_are_of_the_decoded_images_with_their_labels(paths, distilled):
    content = evaluate(paths)
    for record in content["records"]:
        images = decode(distilled.snapshots[record["iteration"]].images, FACTOR)
        train = ImageSet(images=images, labels=distilled.synthetic.classes.repeat_interleave(FACTOR**2))
        assert len(train.images) == len(train.labels) == 16
        expected = train_and_test(
            NetworkTraining(
                train=train,
                network=NETWORK,
                evaluation=job(paths).evaluation,
                classes=CLASSES,
                seed=(2, record["evaluation_seed"]),
            ),
            uint8_set(30, seed=1),
        )
        for name in ("test_accuracy", "train_accuracy", "train_loss"):
            assert record[name] == getattr(expected, name)


def of_this_data(runs):
    """Runs of the toy set as if they had been trained on the data set of this file, which has the same images."""
    attributes = runs.attributes
    runs.attributes = lambda run: attributes(run) | {"data_fingerprint": FINGERPRINTS.data}
    return runs


@pytest.mark.usefixtures("dataset")
def test_teachers_label_the_batches(paths, distilled, tmp_path, caplog):
    training = block_job(tmp_path / "training", runs=(0, 1))
    train_block(training)
    teachers = of_this_data(blocks_trained(training))
    by_teachers = {"labels": "teacher", "loss": [{"kind": "kl", "temperature": 20.0}], "mixing": "cutmix", "seeds": 1}
    own = replace(job(paths, snapshot_seeds=0, **by_teachers), teachers=(teachers,))
    evaluate_distilled(own, distilled_path=paths["distilled"], data_path=paths["data"], output=paths["output"])
    content = json.loads(paths["output"].read_text())
    assert content["training_fingerprints"] == {teachers.key: teachers.fingerprint}
    weights = [teachers.weights(run).values() for run in (0, 1)]
    assert content["teacher_bytes"] == sum(tensor.nbytes for each in weights for tensor in each)
    assert content["teachers_at_chance"] == []
    models = [run_network(teachers, run, device=CPU) for run in (0, 1)]
    outcome = train_and_test(
        NetworkTraining(
            train=ImageSet(
                images=decode(distilled.synthetic.images, FACTOR),
                labels=distilled.synthetic.classes.repeat_interleave(4),
            ),
            network=NETWORK,
            evaluation=own.evaluation,
            classes=CLASSES,
            seed=(2, 0),
            teacher=lambda images: (models[0](images) + models[1](images)) / 2,
        ),
        uint8_set(30, seed=1),
    )
    assert content["records"][0]["train_loss"] == pytest.approx(outcome.train_loss, rel=1e-5)
    assert content["records"][0]["test_accuracy"] == outcome.test_accuracy
    assert "where chance is" not in caplog.text


@pytest.mark.usefixtures("dataset", "distilled")
def test_a_teacher_at_chance_level_is_told(paths, tmp_path, caplog, monkeypatch):
    training = block_job(tmp_path / "training", runs=(0, 0))
    train_block(training)
    own = replace(
        job(paths, snapshot_seeds=0, labels="teacher", loss=[{"kind": "kl"}], seeds=1, epochs=1),
        teachers=(of_this_data(blocks_trained(training)),),
    )
    entry = SimpleNamespace(train_accuracy=0.6, train_loss=1.0, wall_seconds=2.0, joules=None, energy_share=None)
    monkeypatch.setattr(TrainedRuns, "entry", lambda *_: entry)
    evaluate_distilled(own, distilled_path=paths["distilled"], data_path=paths["data"], output=paths["output"])
    assert "classified 60.0 % of its training images correctly, where chance is 50.0 %" in caplog.text
    assert json.loads(paths["output"].read_text())["teachers_at_chance"] == [f"{training.need.key} run 0"]


@pytest.mark.usefixtures("dataset", "distilled")
@pytest.mark.parametrize(
    ("about", "named"),
    [
        ({"dataset": "other"}, "another data set: other, here it is toy"),
        ({"data_fingerprint": "data-2"}, r"another data set's content or normalisation \(fingerprint\): data-2"),
        ({"classes": 5}, "another number of classes: 5, here it is 2"),
        ({"size": 64}, "another image size: 64"),
    ],
)
def test_teachers_of_other_data_are_refused_by_name(paths, tmp_path, about, named):
    training = block_job(tmp_path / "training", runs=(0, 0), recipe={"epochs": 1})
    train_block(training)
    teachers = of_this_data(blocks_trained(training))
    attributes = teachers.attributes
    teachers.attributes = lambda run: attributes(run) | about
    own = replace(job(paths, snapshot_seeds=0, labels="teacher", loss=[{"kind": "kl"}], seeds=1), teachers=(teachers,))
    with pytest.raises(BaconError, match=f"the teachers .* were trained with {named}"):
        evaluate_distilled(own, distilled_path=paths["distilled"], data_path=paths["data"], output=paths["output"])


@pytest.mark.usefixtures("dataset", "distilled")
def test_more_seeds_train_only_the_new_networks(paths, trained):
    five = evaluate(paths, seeds=5, snapshot_seeds=0)
    assert trained == [(2, seed) for seed in range(5)]
    trained.clear()
    seven = evaluate(paths, seeds=7, snapshot_seeds=0)
    assert trained == [(2, 5), (2, 6)]
    assert seven["records"][:5] == five["records"]
    trained.clear()
    assert evaluate(paths, seeds=3, snapshot_seeds=0)["records"] == five["records"][:3]
    assert trained == []


@pytest.mark.usefixtures("dataset", "distilled")
def test_a_record_does_not_depend_on_how_many_seeds_share_the_job(paths, tmp_path):
    together = stable(evaluate(paths, seeds=3)["records"])
    paths["cache"] = tmp_path / "other"
    alone = stable(evaluate(paths, seeds=1)["records"])
    assert alone == [record for record in together if record["evaluation_seed"] == 0]


@pytest.mark.usefixtures("dataset", "distilled")
def test_a_killed_job_goes_on_with_the_networks_that_are_missing(paths, monkeypatch, trained):
    real, calls = networks.train_and_test, []

    def killed(*args, **kwargs):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(networks, "train_and_test", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(paths)
    assert not paths["output"].exists()
    monkeypatch.setattr(networks, "train_and_test", real)
    trained.clear()
    assert len(evaluate(paths)["records"]) == 4
    assert len(trained) == 1


def truncate(text: str) -> str:
    return text[: len(text) // 2]


@pytest.mark.usefixtures("dataset", "distilled")
@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        lambda _: "",
        lambda _: "[]",
        lambda _: "\0\0\0",
        lambda text: text.replace('"test_accuracy": ', '"test_accuracy": null, "other": '),
        lambda text: text.replace('"epochs": 2', '"epochs": "2"'),
        lambda text: text.replace("record-1", "record-2"),
        lambda text: text.replace('"evaluation_seed": 1', '"evaluation_seed": 0'),
        lambda text: text.replace('"final": true', '"final": true, "more": 1'),
        lambda text: text.replace('"augmentation": "dsa"', '"augmentation": "none"'),
        lambda text: text.replace('"confusion": [', '"confusion": [[1],'),
        lambda text: text.replace('"class_accuracy": [', '"class_accuracy": [1,'),
    ],
)
def test_a_damaged_record_is_trained_again_with_one_line_in_the_log(paths, trained, damage, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    before = evaluate(paths)["records"]
    path = RecordCache(folder=paths["cache"], fingerprint="record-1").path(
        RecordKey(iteration=20, evaluation_seed=1, augmentation="dsa", lr_net=0.01)
    )
    path.write_text(damage(path.read_text()))
    trained.clear()
    caplog.clear()
    after = evaluate(paths)["records"]
    assert trained == [(2, 1)]
    assert stable(after) == stable(before)
    assert len([line for line in caplog.messages if str(path) in line]) == 1
    trained.clear()
    evaluate(paths)
    assert trained == []


@pytest.mark.usefixtures("dataset", "distilled")
def test_another_record_fingerprint_shares_nothing(paths, trained):
    evaluate(paths)
    trained.clear()
    content = evaluate(paths, fingerprints=replace(FINGERPRINTS, record="record-2"))
    assert len(trained) == 4
    assert {record["fingerprint"] for record in content["records"]} == {"record-2"}


@pytest.mark.usefixtures("dataset", "distilled")
@pytest.mark.parametrize("name", ["data", "distilled"])
def test_inputs_with_another_fingerprint_are_refused(paths, name):
    with pytest.raises(BaconError, match=f"{name}.h5"):
        evaluate(paths, fingerprints=replace(FINGERPRINTS, **{name: "other"}))
    assert not paths["output"].exists()


@pytest.mark.usefixtures("dataset")
def test_a_coreset_has_no_snapshots(paths):
    images = float_set(4)
    write_distilled(
        paths["distilled"],
        DistillationResult(
            synthetic=SyntheticSet(images=images.images, classes=images.labels),
            attributes={"fingerprint": "distilled-1", "iterations": 0},
        ),
    )
    records = evaluate(paths)["records"]
    assert [(record["iteration"], record["evaluation_seed"], record["final"]) for record in records] == [
        (0, 0, True),
        (0, 1, True),
    ]


def test_the_full_training_set_is_the_reference(paths, dataset, trained):
    reference = replace(
        job(paths), method="full", ipc=None, seed=None, fingerprints=replace(FINGERPRINTS, distilled=None)
    )
    evaluate_full(reference, data_path=paths["data"], output=paths["output"])
    content = json.loads(paths["output"].read_text())
    assert (content["ipc"], content["seed"], content["distilled_fingerprint"]) == (None, None, None)
    assert trained == [(0, 0), (0, 1)]
    train = ImageSet.of_uint8(dataset.train_images, dataset.train_labels, mean=MEAN, std=STD, device=CPU)
    expected = train_and_test(
        NetworkTraining(train=train, network=NETWORK, evaluation=reference.evaluation, classes=CLASSES, seed=(0, 1)),
        uint8_set(30, seed=1),
    )
    record = content["records"][1]
    assert (record["iteration"], record["final"], record["evaluation_seed"]) == (0, True, 1)
    assert record["train_loss"] == expected.train_loss
    assert record["test_accuracy"] == expected.test_accuracy


@pytest.mark.usefixtures("dataset")
def test_the_full_set_has_a_network_of_its_own_for_each_evaluation_seed(paths, tmp_path, monkeypatch):
    training = block_job(tmp_path / "training", runs=(0, 1))
    train_block(training)
    runs = blocks_trained(training)
    entries = [
        SimpleNamespace(train_accuracy=0.25 + run / 2, train_loss=run, wall_seconds=100.0 * run, joules=None)
        for run in (0, 1)
    ]
    monkeypatch.setattr(TrainedRuns, "entry", lambda _, run: entries[run])
    # Run i takes every image for class i.
    weights = [runs.weights(run) | {"classifier.bias": 1e3 * torch.eye(CLASSES)[run]} for run in (0, 1)]
    monkeypatch.setattr(TrainedRuns, "weights", lambda _, run: weights[run])
    reference = replace(
        job(paths), method="full", ipc=None, seed=None, fingerprints=replace(FINGERPRINTS, distilled=None)
    )
    evaluate_full(reference, data_path=paths["data"], output=paths["output"], trained={"dsa": runs})
    records = json.loads(paths["output"].read_text())["records"]
    assert [record["confusion"] for record in records] == [[[15, 0], [15, 0]], [[0, 15], [0, 15]]]
    assert [(record["train_accuracy"], record["train_loss"]) for record in records] == [(0.25, 0), (0.75, 1)]
    assert [record["wall_seconds"] // 100 for record in records] == [0, 1]


# Several augmentations, and the search for a learning rate


@pytest.fixture
def with_validation(paths, dataset) -> ImageDataset:
    images, labels = toy(24, seed=2)
    made = replace(dataset, validation_images=images, validation_labels=labels)
    write_dataset(paths["data"], made, attributes={})
    return made


@pytest.mark.usefixtures("dataset", "distilled")
def test_every_seed_trains_with_every_augmentation_and_its_epochs(paths, trained):
    content = evaluate(paths, augmentations=("none", "cifar", "dsa"), epochs_plain=1)
    keys = [(r["iteration"], r["evaluation_seed"], r["augmentation"], r["epochs"]) for r in content["records"]]
    order = [("none", 1), ("cifar", 2), ("dsa", 2)]
    assert keys == [
        (iteration, seed, *augmentation)
        for iteration, seed in ((0, 0), (10, 0), (20, 0), (20, 1))
        for augmentation in order
    ]
    by_name = {
        r["augmentation"]: r["train_loss"]
        for r in content["records"]
        if (r["iteration"], r["evaluation_seed"]) == (20, 1)
    }
    assert len(set(by_name.values())) == 3
    # One more augmentation trains that one alone; DSA alone is what it is beside others.
    trained.clear()
    alone = evaluate(paths, augmentations=("dsa",), epochs_plain=1)["records"]
    assert trained == []
    assert alone == [r for r in content["records"] if r["augmentation"] == "dsa"]


@pytest.mark.usefixtures("with_validation", "distilled")
def test_the_learning_rate_is_the_best_on_validation_and_the_file_says_what_was_tried(paths, trained):
    rates = (0.0001, 0.05, 0.01)
    changes = {"augmentations": ("none", "dsa"), "lr_search": rates, "epochs": 4, "seeds": 2, "snapshot_seeds": 0}
    content = evaluate(paths, **changes)
    selection = content["selection"]
    assert (selection["split"], selection["what"], selection["evaluation_seed"]) == ("validation", "lr_net", 0)
    assert len(trained) == 2 * (len(rates) + 1)  # each rate with seed 0, the chosen one with seed 1 too
    for name in ("none", "dsa"):
        tried = {one["lr_net"]: one["validation_accuracy"] for one in selection["augmentations"][name]["tried"]}
        for rate in rates:
            single = evaluate(
                paths, **changes | {"augmentations": (name,), "lr_search": (), "lr_net": rate, "seeds": 1}
            )["records"][0]
            assert single["validation_accuracy"] == tried[rate]
        chosen = selection["augmentations"][name]["lr_net"]
        assert tried[chosen] == max(tried.values())
        found = {r["lr_net"] for r in content["records"] if r["augmentation"] == name}
        assert found == {chosen}


@pytest.mark.usefixtures("distilled")
def test_test_images_choose_nothing(paths, with_validation):
    """Validation labels that are exchanged turn the choice round, though the test set says the contrary."""
    changes = {"lr_search": (0.0, 0.05), "epochs": 12, "seeds": 1, "snapshot_seeds": 0, "augmentations": ("none",)}
    evaluation = job(paths).evaluation.model_copy(update=changes)
    rates = {}
    for name, labels in (
        ("right", with_validation.validation_labels),
        ("exchanged", 1 - with_validation.validation_labels),
    ):
        write_dataset(paths["data"], replace(with_validation, validation_labels=labels), attributes={})
        own = replace(job(paths), evaluation=evaluation, cache=paths["cache"] / name)
        evaluate_distilled(own, distilled_path=paths["distilled"], data_path=paths["data"], output=paths["output"])
        content = json.loads(paths["output"].read_text())
        rates[name] = content["records"][0]["lr_net"]
    assert rates == {"right": 0.05, "exchanged": 0.0}


@pytest.mark.usefixtures("with_validation", "distilled")
def test_a_rate_that_diverges_is_out_and_said_so(paths):
    changes = {"lr_search": (1e30, 0.01), "augmentations": ("none",), "seeds": 1, "snapshot_seeds": 0}
    content = evaluate(paths, **changes)
    assert content["selection"]["augmentations"]["none"]["tried"][0] == {"lr_net": 1e30, "validation_accuracy": None}
    assert content["records"][0]["lr_net"] == 0.01
    with pytest.raises(BaconError, match=r"evaluation\.lr_search: training diverged with every rate of \[1e\+30\]"):
        evaluate(paths, **changes | {"lr_search": (1e30,)})


@pytest.mark.usefixtures("dataset", "distilled")
def test_a_search_without_validation_split_is_refused(paths):
    with pytest.raises(BaconError, match=r"lr_search needs a validation split.*data\.toy\.validation"):
        evaluate(paths, lr_search=(0.1, 0.01))


@pytest.mark.usefixtures("dataset", "distilled")
def test_memory_that_does_not_suffice_once_trains_the_network_again_with_half_as_much(paths, monkeypatch, caplog):
    expected = evaluate(paths)
    asked = []

    def tight(given, *args, **kwargs):
        asked.append(given.images_at_once)
        if given.images_at_once > 1024 and len(asked) > 1:
            raise torch.OutOfMemoryError("no room")
        return train_and_test(given, *args, **kwargs)

    monkeypatch.setattr(networks, "train_and_test", tight)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    other = dict(paths, cache=paths["cache"] / "other", output=paths["output"].with_name("other.json"))
    found = evaluate(other)
    assert asked == [2048, 2048, 1024, 1024, 1024], "the first fits, the second does not, the rest begin with half"
    timeless = [[{**r, "wall_seconds": 0} for r in each["records"]] for each in (expected, found)]
    assert timeless[0] == timeless[1]
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "1024 images at a time for the rest of this job" in record.message


@pytest.mark.usefixtures("dataset", "distilled")
def test_memory_that_does_not_suffice_twice_ends_the_job(paths, monkeypatch):
    asked = []

    def full(given, *_, **__):
        asked.append(given.images_at_once)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(networks, "train_and_test", full)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(paths)
    assert asked == [2048, 1024]


@pytest.fixture
def gpu(monkeypatch) -> FakeGpu:
    """Networks are trained in turns, as on the streams of a GPU."""
    fake = FakeGpu(monkeypatch)
    monkeypatch.setattr(networks, "has_streams", lambda _: True)
    monkeypatch.setattr(networks, "Streams", lambda _, count: fake.streams(count))
    return fake


def evaluate_at_once(paths, at_once, folder, **changes) -> dict:
    own = replace(job(paths, **changes), at_once=at_once, cache=paths["cache"] / folder)
    evaluate_distilled(own, distilled_path=paths["distilled"], data_path=paths["data"], output=paths["output"])
    return json.loads(paths["output"].read_text())


@pytest.mark.usefixtures("dataset", "distilled")
@pytest.mark.parametrize("at_once", [2, 5])
def test_networks_trained_in_turns_are_those_that_are_trained_alone(paths, gpu, at_once):
    changes = {"augmentations": ("none", "dsa"), "epochs_plain": 1}
    expected = stable(evaluate(paths, **changes)["records"])
    assert stable(evaluate_at_once(paths, at_once, "turns", **changes)["records"]) == expected
    assert len({who for who, _ in gpu.log}) == 1 + at_once
    assert [who for who, whom in gpu.log if whom == "main"][:at_once] == [f"stream{n + 1}" for n in range(at_once)]


@pytest.mark.usefixtures("dataset", "distilled")
def test_large_batches_leave_fewer_places(paths, gpu, monkeypatch):
    expected = stable(evaluate(paths)["records"])
    monkeypatch.setattr(networks, "_PIXELS_AT_ONCE", 2 * 8 * 8 * 8)
    assert stable(evaluate_at_once(paths, 5, "large")["records"]) == expected
    assert {who for who, _ in gpu.log} == {"main", "stream1", "stream2"}


@pytest.mark.usefixtures("dataset", "distilled", "gpu")
def test_each_of_the_networks_in_turns_is_kept_as_it_ends(paths, monkeypatch):
    begun = []

    def finished(given, *args, **kwargs):
        begun.append((given.seed[1], given.evaluation.epochs))
        outcome = yield from trial(given, *args, **kwargs)
        if given.evaluation.epochs == 3 and fails:
            raise KeyboardInterrupt
        return outcome

    changes = {"augmentations": ("none", "dsa"), "epochs_plain": 1, "epochs": 3, "snapshot_seeds": 0, "seeds": 1}
    monkeypatch.setattr(networks, "trial", finished)
    fails = True
    with pytest.raises(KeyboardInterrupt):
        evaluate_at_once(paths, 2, "turns", **changes)
    fails = False
    assert begun == [(0, 1), (0, 3)]
    assert len(evaluate_at_once(paths, 2, "turns", **changes)["records"]) == 2
    assert begun == [(0, 1), (0, 3), (0, 3)]


@pytest.mark.usefixtures("dataset", "distilled", "gpu")
def test_networks_that_do_not_fit_side_by_side_are_trained_one_after_another(paths, monkeypatch, caplog, trained):
    expected = stable(evaluate(paths)["records"])
    trained.clear()
    counted, begun = [], []

    def tight(given, *args, **kwargs):
        begun.append(given.seed)
        if len(begun) == 3:
            raise torch.OutOfMemoryError("no room")
        return (yield from trial(given, *args, **kwargs))

    advance = networks.Progress.advance
    monkeypatch.setattr(
        networks.Progress, "advance", lambda self, steps=1: counted.append(steps) or advance(self, steps)
    )
    monkeypatch.setattr(networks, "trial", tight)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    assert stable(evaluate_at_once(paths, 2, "tight")["records"]) == expected
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "with 2 networks side by side: one after another for the rest of this job; 2 networks are finished" in (
        record.message
    )
    assert len(trained) == 2
    assert sum(counted) == 4 * 2, "epochs of networks that are trained again count once"


@pytest.mark.usefixtures("with_validation", "distilled", "gpu")
def test_a_rate_that_diverges_among_others_in_turns_is_out(paths):
    changes = {"lr_search": (1e30, 0.01), "augmentations": ("none",), "seeds": 1, "snapshot_seeds": 0}
    content = evaluate_at_once(paths, 3, "turns", **changes)
    assert content["selection"]["augmentations"]["none"]["tried"][0] == {"lr_net": 1e30, "validation_accuracy": None}
    assert content["records"][0]["lr_net"] == 0.01
    with pytest.raises(BaconError, match="training diverged"):
        evaluate_at_once(paths, 3, "bad", **changes | {"lr_search": (), "lr_net": 1e30})


@pytest.mark.parametrize("at_once", [1, 5])
def test_fewer_images_at_once_change_no_number(at_once):
    outcomes = [
        train_and_test(
            NetworkTraining(
                train=float_set(19),
                network=NETWORK,
                evaluation=settings(epochs=3),
                classes=CLASSES,
                seed=(1, 2),
                **more,
            ),
            uint8_set(30),
        )
        for more in ({}, {"images_at_once": at_once})
    ]
    assert replace(outcomes[0], wall_seconds=0) == replace(outcomes[1], wall_seconds=0)


@pytest.mark.usefixtures("dataset", "distilled")
def test_a_distilled_set_is_evaluated_without_the_training_images_of_its_data(paths):
    expected = stable(evaluate(paths)["records"])
    shutil.rmtree(paths["cache"])
    with h5py.File(paths["data"], "r+") as file:
        del file["train/images"]
    assert stable(evaluate(paths)["records"]) == expected
    with pytest.raises(BaconError, match="truncated or damaged"):
        evaluate_full(job(paths, seed=None), data_path=paths["data"], output=paths["output"])
