"""The configurations that come with the project: each loads and plans, and the large ones name every method."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from bacon.config.layers import protocol_name
from bacon.config.loading import load_config
from bacon.methods.registry import METHODS, OWN
from bacon.operations.job_status import read_status
from bacon.plan.plan import Plan
from bacon.settings.protocol_records import PROTOCOLS

CONFIG = Path(__file__).resolve().parents[2] / "config"
EVERY_METHOD = ("table1", "real_small", "digits")


@cache
def load(name):
    return load_config(CONFIG / f"{name}.yaml")


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_every_method_is_named(name):
    missing = [method.name for method in OWN if method.is_distilled and method.name not in load(name).grid.methods]
    assert not missing, f"name {missing} under grid.methods of config/{name}.yaml, or say why it cannot run there"


@pytest.mark.parametrize("name", ["config", *EVERY_METHOD, "table1_native"])
def test_status_before_anything_is_computed(name, tmp_path):
    config = load(name)
    # One distillation seed stands for all: seeds differ in nothing that is planned.
    config = config.model_copy(update={"grid": config.grid.model_copy(update={"seeds": 1})})
    plan = Plan(config, tmp_path)
    status = read_status(plan)
    assert status.counts.keys() == {"waiting"}
    stages = Counter(job.stage for job in status.jobs)
    assert stages["distill"] == len(plan.cells)
    assert stages["evaluate"] == (len(plan.cells) + len(plan.references)) * len(plan.networks)
    assert stages["train"] == sum(len(training.blocks) for training in plan.trainings.values())


def test_the_table_is_that_of_the_paper_under_one_protocol():
    config = load("table1")
    assert (config.preset, config.protocol) == ("paper", "p-dsa")
    papers = load("paper").grid
    assert (config.grid.datasets, config.grid.ipc, config.grid.exclude) == (papers.datasets, papers.ipc, papers.exclude)


def test_the_native_table_has_the_distilled_sets_of_the_table_with_each_methods_own_protocol():
    table, native = load("table1"), load("table1_native")
    own = [name for name in table.grid.methods if not PROTOCOLS[METHODS[table.base_method(name)].protocol].missing]
    assert native.grid == table.grid.model_copy(update={"methods": tuple(own)})
    ours, theirs = Plan(table), Plan(native)
    for cell in theirs.cells[:: len(native.grid.seed_list()) * 3]:
        assert ours.settings(cell).distillation == theirs.settings(cell).distillation
        assert protocol_name(native, cell.method) == METHODS[native.base_method(cell.method)].protocol


def test_the_small_real_grid_fits_a_night_on_two_cores(tmp_path):
    """By the cost model, which is cautious: device-seconds of everything, two jobs at a time."""
    left = read_status(Plan(load("real_small"), tmp_path)).seconds_left
    assert left / 2 < 12 * 3600


def test_the_demo_shows_the_families():
    methods = load("config").grid.methods
    assert {"random", "herding", "dsa", "dm", "bacon"} <= set(methods)
