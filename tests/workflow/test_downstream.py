"""Downstream tasks on a finished grid through the real Snakemake: what runs, what it gives, and what a change runs again."""

import os
from functools import cache

import pandas as pd
import pytest

from bacon.config.loading import check_config
from bacon.downstream.registry import TASKS
from bacon.operations.job_status import read_status
from bacon.operations.orphans import orphans
from bacon.plan.plan import Plan
from tests.downstream.packages import FOLDER, is_installed
from tests.workflow.conftest import TINY

pytestmark = pytest.mark.workflow

LAST = {"tables": 1, "figures": 1, "report": 1, "all": 1}


@cache
def installed():
    """The tasks whose packages are there, which where ``make test`` runs are all."""
    return [name for name, task in TASKS.items() if is_installed(*task.packages)]


def config(**settings):
    sections = {
        name: {"cells": ["digits/dm/*", *(["*/full"] if TASKS[name].has_full else [])]} | settings.get(name, {})
        for name in installed()
    }
    return TINY | {"grid": TINY["grid"] | {"downstream": installed()}, "downstream": sections}


def test_tasks_run_on_the_cells_that_are_there_and_a_setting_runs_its_own_task_again(copy):
    # Jobs find the packages of tasks where this process found them.
    copy.installed += [
        str(FOLDER),
        *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    copy.configure(config())
    made = copy.snakemake()
    plan = Plan(check_config(config()), copy.folder)
    assert made.jobs.pop("total", None) is None
    jobs = {name: len(plan.tasks.places(name)) for name in installed()}
    assert {rule: count for rule, count in made.jobs.items() if rule != "train"} == jobs | LAST
    table = pd.read_csv(copy.path("results/tables/downstream_calibration.csv"))
    assert set(table["method"]) == {"full", "dm"}
    page = copy.path("results/report.html").read_text()
    for name in installed():
        assert TASKS[name].title in page
        assert copy.path(f"results/figures/downstream_{name}.png").is_file() == bool(TASKS[name].figure)
    assert set(read_status(plan).counts) == {"done"}
    assert orphans(plan, records=True) == []
    copy.configure(config(calibration={"bins": 7}))
    assert copy.snakemake("--dry-run").jobs == {"calibration": 2} | LAST
