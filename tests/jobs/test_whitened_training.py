"""Networks of a whitened cell: trained on its form of the data set, under that form's name, and taken by the cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.training_job import run_training
from bacon.plan.headers import read_header
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

CELL = Cell("digits", "mtt", 1, 0)
FEW = {"iterations": 1, "snapshot_interval": 0, "experts": {"runs": 1, "batch_size": 512}}
CONFIG = {
    "preset": "smoke",
    "grid": {"methods": ["mtt"], "ipc": [1], "seeds": 1},
    "methods": {"mtt": {"preprocessing": {"zca": True}, "distillation": FEW}},
    "datasets": {"digits": {"network": {"width": 4, "depth": 2}}},
    "run": {"device": "cpu"},
}


def test_experts_of_a_whitened_cell_are_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))
    plan = Plan(check_config(CONFIG), tmp_path)
    data, fingerprint = tmp_path / plan.data_path(CELL), plan.cell_data_fingerprint(CELL)
    prepare("digits", plan.prepared(CELL).settings, download_dir=Path(), output=data, fingerprint=fingerprint)
    (need,) = plan.needs(CELL)
    for block in plan.training("digits-zca", need.key).blocks:
        assert block.path.parts[2] == "digits-zca"
        run_training(plan, block, data=data, output=tmp_path / block.path, threads=1)
    index = json.loads((tmp_path / block.path).read_text())
    assert (index["dataset"], index["data_fingerprint"]) == ("digits", fingerprint)
    run_cell(plan, CELL, data=data, output=tmp_path / CELL.distilled_path, threads=1)
    assert read_header(tmp_path / CELL.distilled_path).inputs["data"] == fingerprint

    # Where they are put in the place of the plain form's, the cell of that form refuses them.
    plain = Plan(check_config(CONFIG | {"methods": {"mtt": {"distillation": FEW}}}), tmp_path)
    other = tmp_path / plain.data_path(CELL)
    print_of = plain.cell_data_fingerprint(CELL)
    prepare("digits", plain.prepared(CELL).settings, download_dir=Path(), output=other, fingerprint=print_of)
    (tmp_path / "results/training/digits-zca").rename(tmp_path / "results/training/digits")
    with pytest.raises(BaconError, match="out of date"):
        run_cell(plain, CELL, data=other, output=tmp_path / "other.h5", threads=1)
