"""The figures of continual learning and of architecture search: what is drawn where."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bacon.reporting.collect import task_results
from bacon.reporting.collect.task_results import summarise_task
from bacon.reporting.figures.candidates import candidate_scatter
from bacon.reporting.figures.class_streams import stream_lines

METHODS = {"random": "Random", "dm": "DM"}


def streams(seeds=(0, 1), ipcs=(1, 10)) -> pd.DataFrame:
    """Accuracy after 2 and 4 classes: 0.9 and 0.6, and 0.01 more for each seed and repetition."""
    rows = [
        {
            "dataset": "digits", "dataset_title": "Digits", "method": method, "method_title": title, "ipc": ipc, "seed": seed,
            "network": "convnet", "repetition": repetition, "metric": "accuracy", "condition": "", "at": at,
            "value": value + 0.01 * (seed + repetition),
        }
        for method, title in METHODS.items() for ipc in ipcs for seed in seeds for repetition in (0, 1)
        for at, value in ((2.0, 0.9), (4.0, 0.6))
    ]  # fmt: skip
    return summarise_task(pd.DataFrame(rows).astype({"ipc": "Int64", "seed": "Int64"}), {"accuracy": (0.0, 1.0)})


def test_lines_show_the_mean_after_each_step_with_band_and_interval():
    figure = stream_lines(streams(), title="Streams")
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in shown] == ["Digits, IPC 1", "Digits, IPC 10"]
    line = shown[0].lines[0]
    assert line.get_xdata().tolist() == [2.0, 4.0]
    assert line.get_ydata() == pytest.approx([91.0, 61.0])
    assert len(shown[0].collections) == 4  # a band and the bars of each method
    assert "n = 4 repetitions" in figure.caption
    assert "95 % interval over distillation seeds" in figure.caption


def test_one_distillation_seed_has_no_bars():
    figure = stream_lines(streams(seeds=(0,)), title="Streams")
    assert "interval" not in figure.caption
    bars = [each for each in figure.axes[0].collections if type(each).__name__ == "LineCollection"]
    assert bars == []


def test_a_point_is_a_candidate_and_the_first_one_is_ringed():
    table = pd.DataFrame(
        [
            {
                "dataset": "digits", "dataset_title": "Digits", "method": method, "method_title": title, "ipc": 1,
                "candidate": f"c{place}", "proxy": proxy, "reference": reference,
            }
            for method, title in METHODS.items()
            for place, (proxy, reference) in enumerate(((40.0, 90.0), (60.0, 95.0), (50.0, 92.0)))
        ]
    )  # fmt: skip
    figure = candidate_scatter(table, pd.Series({("digits", "dm", 1): 0.5}), title="Search")
    points, ring = figure.axes[0].collections[:2]
    assert np.array_equal(points.get_offsets(), [[40, 90], [60, 95], [50, 92]])
    assert np.array_equal(ring.get_offsets(), [[60, 95]])
    assert [text.get_text() for text in figure.axes[0].texts] == ["+0.50"]


def test_an_interval_of_an_accuracy_without_a_column_ends_at_one(monkeypatch):
    rows = [
        {
            "dataset": "digits", "dataset_title": "Digits", "method": "dm", "method_title": "DM", "ipc": 1, "seed": seed,
            "network": "convnet", "repetition": 0, "metric": "accuracy", "condition": "", "at": 2.0, "value": value,
        }
        for seed, value in ((0, 0.9), (1, 1.0))
    ]  # fmt: skip
    table = pd.DataFrame(rows).astype({"ipc": "Int64", "seed": "Int64"})
    monkeypatch.setattr(task_results, "collect_task", lambda *_: table)
    plan = SimpleNamespace(tasks=SimpleNamespace(columns=lambda _: ()))
    (row,) = task_results.task_summary(plan, "continual").to_dict("records")
    assert (row["ci_high"], row["mean"]) == (1.0, pytest.approx(0.95))
    assert 0 <= row["ci_low"] < 0.9
