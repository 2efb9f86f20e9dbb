"""One cell whose set has soft labels, a learned rate and partition, from its artifact to the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bacon import load_distilled
from bacon.artifacts.distilled_file import DistillationResult, read_distilled, write_distilled
from bacon.artifacts.evaluation_records import read_evaluation
from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.interchange.evaluate_file import evaluate_file
from bacon.interchange.export_cell import FORMATS, export_cell
from bacon.interchange.requested_set import Request
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.evaluation_job import run_evaluation
from bacon.plan.plan import Plan
from bacon.reporting.collect.distilled_files import collect_cost, read_images
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.expected import expected_distilled, expected_evaluation
from bacon.reporting.figures.images import images_figure
from bacon.reporting.page.cell_entries import accuracy_by_cell, report_cell
from bacon.reporting.page.links import Links
from bacon.settings.data import DataSettings
from tests.interchange.conftest import CELL, CONFIG
from tests.toy_images import CPU

RATE = 0.03125
SOFT = {"snapshot_seeds": 1, "labels": "stored", "lr": "learned"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory, monkeypatch_session) -> Plan:
    """A finished cell; the set that its method made has got soft labels, in which every class looks like the next one too."""
    directory = tmp_path_factory.mktemp("soft")
    monkeypatch_session.setenv("BACON_LOCK_DIR", str(directory / "locks"))
    config = CONFIG | {"datasets": {"digits": {"network": {"width": 8}, "evaluation": SOFT}}}
    made = Plan(check_config(config), directory)
    data, images = directory / made.data_path(CELL), directory / CELL.distilled_path
    fingerprint = made.data_fingerprint("digits")
    prepare("digits", DataSettings(), download_dir=Path("none"), output=data, fingerprint=fingerprint)
    run_cell(made, CELL, data=data, output=images, threads=1)
    write_distilled(images, softened(read_distilled(images)))
    output = directory / CELL.evaluation_path("convnet")
    run_evaluation(made, CELL, "convnet", data=data, images=images, output=output, threads=1)
    return made


def softened(result: DistillationResult) -> DistillationResult:
    classes = result.synthetic.classes
    soft = torch.full((len(classes), 10), -4.0)
    soft[torch.arange(len(classes)), classes] = 1.0
    soft[torch.arange(len(classes)), (classes + 1) % 10] = 1.5  # the largest is another class
    extra = {"soft": soft, "soft_kind": "logits", "rates": torch.tensor([RATE])}
    snapshots = {iteration: replace(one, **extra) for iteration, one in result.snapshots.items()}
    return replace(result, synthetic=replace(result.synthetic, **extra), snapshots=snapshots)


def test_networks_are_trained_with_soft_labels_and_the_learned_rate_and_measured_by_class(plan):
    content = read_evaluation(plan.directory / CELL.evaluation_path("convnet"))
    assert (content["labels"], content["learned_rates"]) == ("logits", 1)
    assert {record.lr_net for record in content["records"]} == {RATE}
    assert all(0 <= record.train_accuracy <= 1 for record in content["records"])
    assert {record.iteration for record in content["records"]} == set(
        read_distilled(plan.directory / CELL.distilled_path).snapshots
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_every_export_carries_what_was_learned(plan, tmp_path, kind):
    path = export_cell(plan, CELL, kind=kind, form="stored", output=tmp_path)
    loaded, ours = load_distilled(path), load_distilled(plan.directory / CELL.distilled_path)
    assert torch.equal(loaded.training_targets, ours.training_targets)
    assert torch.equal(loaded.labels, ours.labels)
    assert loaded.rates.tolist() == [RATE]
    assert loaded.attributes["label_bytes"] == 100 * 10 * 4 + 4
    assert "SGD lr learned with the images" in loaded.attributes["evaluations"][0]["protocol"]
    assert "soft labels" in loaded.attributes["evaluations"][0]["protocol"]
    if kind == "huggingface":
        card = (path / "README.md").read_text()
        assert "`soft_labels.npy` (logits, " in card
        assert "soft labels, last epoch" in card


def test_the_exported_file_is_evaluated_to_the_numbers_of_the_workflow(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(plan.directory)
    expected = [one for one in read_evaluation(Path(CELL.evaluation_path("convnet")))["records"] if one.final]
    network = plan.settings(CELL).network
    monkeypatch.setattr("bacon.interchange.evaluate_file._network", lambda *_: network)
    path = export_cell(plan, CELL, kind="safetensors", form="decoded", output=tmp_path)
    epochs = plan.settings(CELL).evaluation.epochs
    for own, same in (({}, True), ({"labels": "hard"}, False)):
        keys = {"epochs": epochs, "seeds": len(expected), "labels": "stored", "lr": "learned", **own}
        result = evaluate_file(Request(file=path, data="", evaluation=keys), device=CPU, cache=tmp_path / "cache")
        losses = [record.train_loss for record in result.records]
        assert (losses == [record.train_loss for record in expected]) == same
        if same:
            assert [one.test_accuracy for one in result.records] == [one.test_accuracy for one in expected]


def test_tables_figures_and_the_reports_cell_say_what_the_set_has(plan):
    distilled, evaluation = expected_distilled(plan, CELL), expected_evaluation(plan, CELL, "convnet")
    cost = collect_cost([distilled])
    assert cost["label_bytes"].tolist() == [100 * 10 * 4 + 4]
    accuracy = collect_accuracy([evaluation])
    (protocol,) = accuracy["protocol"].unique()
    assert "SGD lr learned with the images" in protocol
    assert protocol.endswith("soft labels, last epoch")
    words = "each image also has a soft label (logits), which is largest for that class in 0 of 100 images."
    assert words in images_figure(read_images(distilled), title="t").caption
    links = Links(plan.directory / "report.html")
    cell = report_cell(plan, CELL, accuracy=accuracy_by_cell(accuracy), images=(), links=links).view
    facts = dict(cell.artifacts[0].facts)
    assert facts["labels"] == "the class of each image, and a soft label (logits)"
    assert facts["learned learning rate"] == "0.03125"
    assert facts["storage"] == f"{100 * 16 * 16 * 4:,} bytes of images, 4,004 of labels"
    assert "soft label (logits)" in cell.picture_caption
    assert cell.accuracies[0].protocol == protocol
