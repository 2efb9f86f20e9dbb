"""Tables and figures of downstream tasks from rows that are made up: intervals, columns, panels."""

import math

import numpy as np
import pandas as pd
import pytest

from bacon.downstream.base import TaskColumn
from bacon.reporting.collect.task_results import summarise_task
from bacon.reporting.figures.task_lines import lines_figure
from bacon.reporting.tables.downstream_tables import task_grids

COLUMNS = (
    TaskColumn(metric="accuracy", title="Clean (%)"),
    TaskColumn(metric="robust", condition="pgd", at=8 / 255, title="PGD (%)"),
    TaskColumn(metric="missing", title="Missing"),
)


def rows(method, ipc, seed, repetition, clean, attacked):
    place = {
        "dataset": "digits", "dataset_title": "Digits", "method": method, "method_title": method.upper(), "ipc": ipc,
        "seed": seed, "network": "convnet", "repetition": repetition,
    }  # fmt: skip
    return [
        place | {"metric": "accuracy", "condition": "", "at": None, "value": clean},
        *(
            place | {"metric": "robust", "condition": "pgd", "at": epsilon / 255, "value": value}
            for epsilon, value in attacked.items()
        ),
    ]


@pytest.fixture
def summary():
    made = [
        *rows("full", None, None, 0, 0.9, {4: 0.6, 8: 0.5}), *rows("full", None, None, 1, 0.8, {4: 0.6, 8: 0.3}),
        *rows("dm", 1, 0, 0, 0.5, {4: 0.3, 8: 0.1}), *rows("dm", 1, 0, 1, 0.7, {4: 0.3, 8: 0.3}),
        *rows("dm", 1, 1, 0, 0.4, {4: 0.2, 8: 0.0}), *rows("dm", 1, 1, 1, 0.4, {4: 0.2, 8: 0.0}),
        *rows("random", 10, 0, 0, 0.4, {4: 0.2}),
    ]  # fmt: skip
    table = pd.DataFrame(made).astype({"ipc": "Int64", "seed": "Int64", "at": "float64"})
    return summarise_task(table, {"accuracy": (0.0, 1.0), "robust": (0.0, 1.0)})


def test_the_interval_is_over_distillation_seeds(summary):
    """Seed means 0.6 and 0.4: Student's t with one degree of freedom, 12.706 x 0.1, cut off at 0 and 1."""
    row = summary[(summary["method"] == "dm") & (summary["metric"] == "accuracy")].iloc[0]
    assert (row["mean"], row["ci_low"], row["ci_high"], row["n"], row["distillation_seeds"]) == (0.5, 0.0, 1.0, 4, 2)
    one = summary[(summary["method"] == "random") & (summary["metric"] == "accuracy")].iloc[0]
    assert math.isnan(one["ci_low"])
    full = summary[(summary["method"] == "full") & (summary["at"].round(4) == round(4 / 255, 4))].iloc[0]
    assert (full["mean"], full["ci_low"], full["n"]) == (0.6, 0.6, 2)


def test_a_column_without_measurements_is_left_out_and_a_missing_entry_is_a_dash(summary):
    (grid,) = task_grids(summary, "Robustness", COLUMNS)
    assert grid.title == "Digits: Robustness"
    assert grid.columns == ("Method", "IPC", "Clean (%)", "PGD (%)", "n")
    texts = {row[0]: row[1:] for row in grid.rows}
    assert texts["DM"][:1] == ("1",)
    assert texts["DM"][1] == "50.0 [0.0, 100.0]"
    assert texts["RANDOM"] == ("10", "40.0", "–", "1")  # noqa: RUF001
    assert texts["FULL"][-1] == "2"


def test_lines_have_a_panel_for_each_ipc_with_the_full_data_set_in_all(summary):
    figure = lines_figure(
        summary, title="T", caption="C.", xlabel="x", ylabel="y", conditions={"pgd": "PGD"}, x_scale=255.0
    )
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in shown] == ["Digits, IPC 1\nPGD", "Digits, IPC 10\nPGD"]
    lines = [{tuple(np.round(line.get_xdata(), 6)) for line in ax.get_lines() if len(line.get_xdata())} for ax in shown]
    assert lines == [{(4.0, 8.0)}, {(4.0, 8.0), (4.0,)}]
    dm = next(line for line in shown[0].get_lines() if np.allclose(line.get_ydata(), [25.0, 10.0]))
    assert list(np.round(dm.get_xdata())) == [4, 8]
    assert figure.caption.startswith("C.")
