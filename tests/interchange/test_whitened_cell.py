"""A whitened cell beside a plain one: what it is made from, what is said of it, and that it is evaluated on its own form."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bacon import load_distilled
from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.datasets.store import read_dataset
from bacon.interchange.evaluate_file import evaluate_file
from bacon.interchange.export_cell import export_cell
from bacon.interchange.requested_set import Request
from bacon.interchange.verify_set import CONFIDENCE, given_data, retraining, verify_set
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.evaluation_job import run_evaluation
from bacon.operations.orphans import orphans
from bacon.plan.plan import Plan
from bacon.reporting.collect.evaluations import collect_networks
from bacon.reporting.collect.expected import expected_evaluation
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from tests.toy_images import CPU

WHITE, PLAIN = Cell("digits", "white", 1, 0), Cell("digits", "random", 1, 0)
CONFIG = {
    "preset": "smoke",
    "grid": {"methods": ["random", "white"], "ipc": [1], "seeds": 1},
    "variants": {"white": {"method": "random", "preprocessing": {"zca": True}}},
    "datasets": {"digits": {"network": {"width": 4, "depth": 2}}},
    "run": {"device": "cpu"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both cells, distilled and evaluated as the workflow's jobs do it, and exports of both."""
    folder = tmp_path_factory.mktemp("whitened")
    plan = Plan(check_config(CONFIG), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACON_LOCK_DIR", str(folder / "locks"))
        for name, form in plan.prepared_sets.items():
            output, fingerprint = folder / "results" / "data" / f"{name}.h5", plan.data_fingerprint(name)
            prepare(form.dataset, form.settings, download_dir=Path(), output=output, fingerprint=fingerprint)
        for cell in (PLAIN, WHITE):
            data, images = folder / plan.data_path(cell), folder / cell.distilled_path
            run_cell(plan, cell, data=data, output=images, threads=1)
            output = folder / cell.evaluation_path("convnet")
            run_evaluation(plan, cell, "convnet", data=data, images=images, output=output, threads=1)
    for cell in (PLAIN, WHITE):
        for kind in ("pt", "png"):
            export_cell(plan, cell, kind=kind, form="decoded", output=folder / "exports")
    return plan


def test_the_cells_are_the_same_images_in_two_forms(made):
    white, plain = (load_distilled(made.directory / cell.distilled_path) for cell in (WHITE, PLAIN))
    assert plain.whitening is None
    real = read_dataset(made.directory / "results/data/digits-zca.h5")
    np.testing.assert_array_equal(white.whitening.matrix, real.whitening.matrix)
    raw = [load_distilled(made.directory / cell.distilled_path, raw=True).images for cell in (WHITE, PLAIN)]
    np.testing.assert_allclose(*raw, atol=1e-3)
    with h5py.File(made.directory / WHITE.distilled_path) as file:
        assert file.attrs["dataset"] == "digits"
        assert file.attrs["data_fingerprint"] == real.fingerprint


def test_tables_say_which_cell_is_whitened_and_no_file_is_an_orphan(made):
    expected = [expected_evaluation(made, cell, "convnet") for cell in (PLAIN, WHITE)]
    said = collect_networks(expected).groupby("method")["protocol"].first()
    assert said["white"] == said["random"].replace("DSA", "ZCA-whitened images, DSA")
    assert not [path for path in orphans(made) if path.parts[1] in ("data", "distilled", "evaluation")]


@pytest.mark.parametrize("cell", [PLAIN, WHITE])
def test_a_set_is_evaluated_on_its_own_form(made, monkeypatch, tmp_path, cell):
    monkeypatch.chdir(made.directory)
    accuracies = collect_networks([expected_evaluation(made, cell, "convnet")])["test_accuracy_percent"].tolist()
    evaluation = made.settings(cell).evaluation.model_dump(mode="json", exclude={"snapshot_seeds"})
    network = made.settings(cell).network
    request = Request(file=cell.distilled_path, data="", evaluation=evaluation, network_settings=network)
    found = evaluate_file(request, device=CPU, cache=tmp_path)
    assert [100 * one.test_accuracy for one in found.records] == accuracies
    assert found.said.get("whitened", False) == (cell == WHITE)


def verified(path, folder, *data):
    with retraining(data=given_data(data), networks=2, confidence=CONFIDENCE, device=CPU, cache=folder) as how:
        return verify_set(path, how)


@pytest.mark.parametrize(
    "name", ["digits_white_ipc1_seed0.pt", "digits_white_ipc1_seed0", "digits_random_ipc1_seed0.pt"]
)
def test_an_export_is_verified_on_its_own_form(made, monkeypatch, tmp_path, name):
    """Also where it is not prepared: a data set that is embedded is prepared in the form that the card speaks of."""
    for folder in (made.directory, tmp_path):
        monkeypatch.chdir(folder)
        found = verified(made.directory / "exports" / name, tmp_path / folder.name)
        assert found.status == "ok", found.mismatches
        (check,) = found.accuracies
        assert ("ZCA-whitened images" in check.protocol) == ("white" in name)
        if name.endswith(".pt"):
            assert check.found == check.stated


def test_both_forms_of_a_data_set_can_be_given_and_each_once(made, monkeypatch):
    monkeypatch.chdir(made.directory)
    assert set(given_data(["digits", "digits-zca"])) == {("digits", False), ("digits", True)}
    with pytest.raises(BaconError, match="are the data set digits; give one"):
        given_data(["digits-zca", "results/data/digits-zca.h5"])
