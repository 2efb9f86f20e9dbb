"""A grid under two protocols through the real Snakemake: one evaluation job per cell, the tables, and what runs again."""

import pandas as pd
import pytest

from bacon.config.loading import check_config
from bacon.operations.job_status import read_status
from bacon.operations.orphans import orphans
from bacon.plan.plan import Plan
from tests.workflow.conftest import TINY

pytestmark = pytest.mark.workflow

CONFIG = TINY | {"grid": TINY["grid"] | {"methods": ["random", "dm"], "protocols": ["p-dc", "p-idc"]}}


def test_two_protocols_take_one_evaluation_job_per_cell(project):
    project.configure(CONFIG)
    made = project.snakemake()
    assert {rule: made.jobs[rule] for rule in ("distill", "evaluate", "evaluate_full")} == {
        "distill": 2,
        "evaluate": 2,
        "evaluate_full": 1,
    }
    table = pd.read_csv(project.path("results/tables/protocols.csv"))
    assert table.groupby("protocol")["method"].apply(list).to_dict() == {
        "p-dc": ["full", "random", "dm"],
        "p-idc": ["full", "random", "dm"],
    }
    assert project.path("results/figures/protocols.png").is_file()
    plan = Plan(check_config(CONFIG), project.folder)
    assert set(read_status(plan).counts) == {"done"}
    assert orphans(plan, records=True) == []
    # All results are right: a third protocol is for the evaluations of every cell, and for no distillation.
    project.configure(CONFIG | {"grid": CONFIG["grid"] | {"protocols": ["p-dc", "p-idc", "p-dam"]}})
    again = project.snakemake("--dry-run").jobs
    assert {rule: again.get(rule, 0) for rule in ("preprocess", "distill", "evaluate", "evaluate_full")} == {
        "preprocess": 0,
        "distill": 0,
        "evaluate": 2,
        "evaluate_full": 1,
    }
