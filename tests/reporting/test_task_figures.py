"""What the figures of downstream tasks draw of a plan's results: bins, candidates, attacks and corruptions, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.task_results import summarise_task, task_place
from bacon.reporting.figures import candidates, reliability, robustness_figures

GRID = {"datasets": ["digits"], "methods": ["random"], "ipc": [1, 2], "seeds": 2}


def plan_of(task, **settings):
    changes = {"downstream": {task: settings}} if settings else {}
    return Plan(check_config({"preset": "smoke", "grid": {**GRID, "downstream": [task]}, **changes}))


def visible(figure) -> list:
    return [ax for ax in figure.axes if ax.get_visible()]


def hold(monkeypatch, module, details):
    """Every file of the task that the module reads holds one repetition with these details of its cell."""
    records = lambda _plan, _task, cell, _network: {"records": [SimpleNamespace(details=details(cell))]}  # noqa: E731
    monkeypatch.setattr(module, "read_task", records)


def measured(plan, task, values):
    """The summary of a task whose every repetition measures (metric, condition, at) -> value."""
    rows = [
        task_place(plan, cell, network)
        | {"repetition": 0, "metric": metric, "condition": condition, "at": at, "value": value}
        for cell, network in plan.tasks.places(task)
        for (metric, condition, at), value in values.items()
    ]
    return summarise_task(pd.DataFrame(rows).astype({"ipc": "Int64", "seed": "Int64", "at": "float64"}), {})


def test_a_reliability_diagram_adds_up_the_images_of_all_seeds(monkeypatch):
    """Seed 0: 30 images at 0.4 with 0.5 right; seed 1: 10 at 0.6 with 0.9; both: 10 at 0.9, all right. A bin is empty."""
    plan = plan_of("calibration")

    def found(cell):
        count, sure, right = (10, 0.6, 0.9) if cell.seed == 1 else (30, 0.4, 0.5)
        bins = {"counts": [count, 0, 10], "confidence": [sure, 0.0, 0.9], "accuracy": [right, 0.0, 1.0]}
        return {"reliability": bins}

    hold(monkeypatch, reliability, found)
    figure = reliability.reliability_figure(plan)
    shown = visible(figure)
    assert [ax.get_title() for ax in shown] == [
        f"{plan.dataset_title('digits')}, IPC {ipc}, as trained" for ipc in (1, 2)
    ]
    for ax in shown:
        lines = {tuple(line.get_xdata().round(4)): tuple(line.get_ydata().round(4)) for line in ax.lines[1:]}
        assert lines == {(0.4, 0.9): (0.5, 1.0), (0.45, 0.9): (0.6, 1.0)}, "the full data set stands beside every IPC"
    assert len(figure.legends[0].get_texts()) == 2


def test_a_candidate_is_the_mean_over_searches_and_seeds(monkeypatch):
    plan = plan_of("architecture_search")
    reference = {"a": 0.9, "b": 0.8}
    hold(
        monkeypatch,
        candidates,
        lambda cell: {"proxy": {"a": 0.5 + 0.1 * cell.seed, "b": 0.4}, "reference": reference},
    )
    table = candidates._points(plan)
    assert table[["ipc", "candidate"]].to_numpy().tolist() == [[1, "a"], [1, "b"], [2, "a"], [2, "b"]]
    np.testing.assert_allclose(table["proxy"], [55, 40, 55, 40])
    np.testing.assert_allclose(table["reference"], [90, 80, 90, 80])


def test_accuracy_under_attack_starts_at_epsilon_0_without_attack(monkeypatch):
    plan = plan_of("robustness", attacks=["pgd"], epsilons=[4 / 255, 8 / 255])
    values = {
        ("accuracy", "", None): 0.8, ("robust_accuracy", "pgd", 4 / 255): 0.5, ("robust_accuracy", "pgd", 8 / 255): 0.25,
    }  # fmt: skip
    monkeypatch.setattr(robustness_figures, "task_summary", lambda *_: measured(plan, "robustness", values))
    for ax in visible(robustness_figures.robustness_figure(plan)):
        assert ax.get_title().endswith("PGD")
        lines = [container.lines[0] for container in ax.containers]
        assert len(lines) == 2, "the method and the full data set"
        for line in lines:
            assert line.get_xdata() == pytest.approx([0, 4, 8])
            assert line.get_ydata() == pytest.approx([80, 50, 25])


def test_the_mean_over_corruptions_stands_before_each(monkeypatch):
    names = ["jpeg_compression", "fog"]
    plan = plan_of("corruptions", corruptions=names, severities=[1, 2])
    values = {("accuracy", "", None): 0.8} | {
        ("corrupted_accuracy", name, severity): 0.1 * severity * (1 + place)
        for place, name in enumerate(names) for severity in (1.0, 2.0)
    } | {("corrupted_accuracy", name, None): 0.7 for name in names}  # fmt: skip
    monkeypatch.setattr(robustness_figures, "task_summary", lambda *_: measured(plan, "corruptions", values))
    shown = visible(robustness_figures.corruptions_figure(plan))
    assert [ax.get_title().partition("\n")[2] for ax in shown] == ["Mean", "JPEG compression", "Fog"] * 2
    for ax, course in zip(shown, [[80, 15, 30], [80, 10, 20], [80, 20, 40]] * 2, strict=True):
        lines = [container.lines[0] for container in ax.containers]
        assert len(lines) == 2, "the method and the full data set"
        for line in lines:
            assert line.get_xdata().tolist() == [0, 1, 2]
            assert line.get_ydata() == pytest.approx(course)
