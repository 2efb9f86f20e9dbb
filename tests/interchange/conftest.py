"""A finished cell of digits: prepared data, a partitioned distilled set of real images, two evaluation networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.jobs.distillation_job import run_cell
from bacon.jobs.evaluation_job import run_evaluation
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell

# The name of the tutorial; four iterations move real images a little.
CELL = Cell("digits", "bacon", 10, 0)
CONFIG = {
    "preset": "smoke",
    "grid": {"datasets": ["digits"], "methods": ["bacon"], "ipc": [10], "seeds": 1},
    "datasets": {"digits": {"network": {"width": 8}, "evaluation": {"snapshot_seeds": 0}}},
    "run": {"device": "cpu"},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, monkeypatch_session) -> Plan:
    directory = tmp_path_factory.mktemp("finished")
    monkeypatch_session.setenv("BACON_LOCK_DIR", str(directory / "locks"))
    plan = Plan(check_config(CONFIG), directory)
    data = directory / plan.data_path(CELL)
    prepare(
        "digits",
        plan.config.data.get("digits") or _default_data(),
        download_dir=Path("none"),
        output=data,
        fingerprint=plan.data_fingerprint("digits"),
    )
    images = directory / CELL.distilled_path
    run_cell(plan, CELL, data=data, output=images, threads=1)
    output = directory / CELL.evaluation_path("convnet")
    run_evaluation(plan, CELL, "convnet", data=data, images=images, output=output, threads=1)
    return plan


def _default_data():
    from bacon.settings.data import DataSettings

    return DataSettings()


@pytest.fixture(scope="session")
def monkeypatch_session():
    with pytest.MonkeyPatch.context() as patch:
        yield patch
