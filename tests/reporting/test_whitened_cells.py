"""Whitened cells are named below tables."""

from __future__ import annotations

from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.expected import expected_evaluations
from bacon.reporting.collect.whitened_cells import whitening_notes

START = "Distilled from and tested on images whitened by ZCA: "


def plan_of(*methods, datasets=("cifar10",), seeds=1, **more):
    grid = {"datasets": list(datasets), "methods": list(methods), "ipc": [1, 10, 50], "seeds": seeds}
    return Plan(check_config({"preset": "paper", "grid": grid, **more}))


def test_methods_and_ipcs_of_each_data_set():
    plan = plan_of("dm", "mtt", "datm", datasets=("cifar10", "svhn", "cifar100"))
    (line,) = whitening_notes(plan)
    assert line == f"{START}CIFAR-10 (MTT, IPC 1 and 10; DATM); CIFAR-100 (MTT, IPC 1 and 50; DATM)."
    marked = {(one.method, one.ipc) for one in expected_evaluations(plan) if one.dataset == "cifar10" and one.whitened}
    assert marked == {("mtt", 1), ("mtt", 10), ("datm", 1), ("datm", 10), ("datm", 50)}


def test_a_whole_data_set_some_seeds_and_nothing():
    assert whitening_notes(plan_of("dm", data={"cifar10": {"zca": True}})) == [f"{START}CIFAR-10."]
    some = {"overrides": {"cifar10/dm/ipc10/seed1": {"preprocessing": {"zca": True}}}}
    assert whitening_notes(plan_of("dm", seeds=2, **some)) == [f"{START}CIFAR-10 (DM, IPC 10, some seeds)."]
    assert whitening_notes(plan_of("dm")) == []
