from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from bacon.reporting.collect.distilled_files import collect_cost, collect_history, divergence_notes, read_images
from bacon.reporting.collect.evaluations import collect_accuracy, read_accuracy
from bacon.reporting.tables.run_tables import write_accuracy
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import distilled, evaluation, record


def test_one_row_per_network_with_all_keys(tmp_path):
    one = evaluation(tmp_path, [record(0, 0, 0.25, final=False), record(200, 0, 0.5), record(200, 1, 0.625)], seed=0)
    two = evaluation(tmp_path, [record(0, 0, 0.25, final=False), record(200, 0, 0.75), record(200, 1, 0.5)], seed=1)
    table = collect_accuracy([one, two])
    assert list(table["test_accuracy_percent"]) == [25.0, 50.0, 62.5, 25.0, 75.0, 50.0]
    assert list(table["n"]) == [2, 4, 4, 2, 4, 4]
    first = table.iloc[1].to_dict()
    expected = {
        "dataset": "digits",
        "method": "bacon",
        "ipc": 10,
        "seed": 0,
        "network": "convnet",
        "iteration": 200,
        "final": True,
        "evaluation_seed": 0,
        "train_accuracy_percent": 99.0,
        "train_loss": 0.02,
        "epochs": 100,
        "protocol": "100 epochs, SGD lr 0.01 (÷10 halfway), batch 256, DSA without flip, last epoch",
        "wall_seconds": 1.5,
        "device": "cpu (test)",
        "fingerprint": "fresh",
        "commit": "0123abc",
        "dataset_title": "Digits",
        "method_title": "BACON",
    }
    assert {key: first[key] for key in expected} == expected
    assert pd.isna(first["published_dataset"])


def test_full_data_set_has_neither_ipc_nor_seed_and_survives_csv(tmp_path):
    full = evaluation(tmp_path, [record(0, 0, 0.97), record(0, 1, 0.96)], method="full", ipc=None, seed=None)
    table = collect_accuracy([full, evaluation(tmp_path, [record(200, 0, 0.5)], dataset="cifar10")])
    assert table["ipc"].isna().tolist() == [True, True, False]
    write_accuracy(table, tmp_path / "accuracy.csv")
    pd.testing.assert_frame_equal(read_accuracy(tmp_path / "accuracy.csv"), table)


def test_another_fingerprint_is_refused(tmp_path):
    one = evaluation(tmp_path, [record(200, 0, 0.5)], fingerprint="stale")
    with pytest.raises(BaconError) as caught:
        collect_accuracy([one])
    message = str(caught.value)
    assert str(one.path) in message
    assert "'stale'" in message
    assert "'fresh'" in message
    assert "snakemake" in message


def test_a_missing_file_is_refused(tmp_path):
    one = evaluation(tmp_path, [record(200, 0, 0.5)])
    one.path.unlink()
    with pytest.raises(BaconError, match=r"is missing.*snakemake"):
        collect_accuracy([one])


@pytest.mark.parametrize("text", ["", '{"fingerprint": "fresh"', "[1, 2]", '{"fingerprint": "fresh"}'])
def test_an_unreadable_file_is_refused(tmp_path, text):
    one = evaluation(tmp_path, [record(200, 0, 0.5)])
    one.path.write_text(text)
    with pytest.raises(BaconError, match=str(one.path)):
        collect_accuracy([one])


def test_another_cell_is_refused(tmp_path):
    one = evaluation(tmp_path, [record(200, 0, 0.5)], seed=0)
    with pytest.raises(BaconError, match="`seed` is 0, expected 1"):
        collect_accuracy([replace(one, seed=1)])


@pytest.mark.parametrize(
    ("records", "settings", "message"),
    [
        ([], {"seeds": 5}, "0 records of the final images"),
        ([record(200, 0, 0.5)], {"seeds": 2}, "1 records of the final images.*expected 2"),
        ([record(0, 0, 0.5, final=False), record(200, 0, 0.5)], {"snapshot_seeds": 2}, "iteration 0, expected 2"),
        ([record(100, 0, 0.5), record(200, 0, 0.5)], {}, "over 2 iterations"),
        ([record(200, 0, 0.5), record(200, 0, 0.5)], {}, "occurs twice"),
        ([{**record(200, 0, 0.5), "test_accuracy": None}], {}, "not a complete"),
    ],
)
def test_missing_or_doubled_records_are_refused(tmp_path, records, settings, message):
    one = evaluation(tmp_path, records, settings=settings)
    with pytest.raises(BaconError, match=message):
        collect_accuracy([one])


def test_a_record_without_a_key_is_refused(tmp_path):
    one = evaluation(tmp_path, [record(200, 0, 0.5)])
    content = json.loads(one.path.read_text())
    del content["records"][0]["train_loss"]
    one.path.write_text(json.dumps(content))
    with pytest.raises(BaconError, match="train_loss"):
        collect_accuracy([one])


def test_an_empty_grid_is_refused():
    with pytest.raises(BaconError, match="no cells"):
        collect_accuracy([])


def test_cost_of_distilled_sets(tmp_path):
    images = np.zeros((10, 1, 4, 4))
    made = distilled(tmp_path, images, wall_seconds=25.0, iterations_per_second=8.0)
    chosen = distilled(tmp_path, images, method="random", iterations=0, iterations_per_second=0.0, wall_seconds=0.5)
    cost = collect_cost([chosen, made])
    assert list(cost["method"]) == ["random", "bacon"]
    assert list(cost["iterations"]) == [0, 200]
    assert list(cost["wall_seconds"]) == [0.5, 25.0]
    assert np.isnan(cost["iterations_per_second"][0])
    assert cost["iterations_per_second"][1] == 8.0
    assert list(cost["peak_memory_mib"]) == [512.0, 512.0]
    assert list(cost["device"]) == ["cpu (test)"] * 2


def test_stale_missing_and_damaged_distilled_sets_are_refused(tmp_path):
    images = np.zeros((10, 1, 4, 4))
    with pytest.raises(BaconError, match=r"'stale'.*'fresh'.*snakemake"):
        collect_cost([distilled(tmp_path, images, fingerprint="stale")])
    one = distilled(tmp_path, images)
    with h5py.File(one.path, "a") as file:
        del file.attrs["wall_seconds"]
    with pytest.raises(BaconError, match="not a complete distilled set"):
        collect_cost([one])
    one.path.write_bytes(b"\x89HDF")
    with pytest.raises(BaconError, match=str(one.path)):
        collect_history([one])
    one.path.unlink()
    with pytest.raises(BaconError, match="is missing"):
        read_images(one)


def test_history_is_averaged_over_windows(tmp_path):
    values = np.array([1.0, 3.0, 5.0, np.nan, 10.0])
    one = distilled(
        tmp_path, np.zeros((10, 1, 4, 4)), history={"iteration": np.arange(5), "tv": values, "clip": np.zeros(5)}
    )
    without = distilled(tmp_path, np.zeros((10, 1, 4, 4)), method="random", iterations=0)
    history = collect_history([without, one], windows=3)
    tv = history[history["term"] == "tv"]
    assert list(tv["iteration"]) == [0.5, 2.5, 4.0]
    # The third window's NaN is left out of its mean.
    assert list(tv["value"]) == [2.0, 5.0, 10.0]
    assert set(tv["window"]) == {2}
    assert set(history["method"]) == {"bacon"}
    assert collect_history([without]).empty


def test_images_are_denormalised_and_clipped(tmp_path):
    images = np.full((10, 1, 4, 4), 1.0)
    images[0] = 5.0
    images[1] = -5.0
    one = distilled(tmp_path, images, snapshots={0: np.zeros((10, 1, 4, 4))})
    shown = read_images(one)
    # mean .25, std .5: 1 is .75, and 5 and -5 are cut.
    np.testing.assert_allclose(shown.final[:3, 0, 0, 0], [1.0, 0.0, 0.75])
    np.testing.assert_allclose(shown.initial, 0.25)
    assert shown.class_names == tuple("0123456789")


def test_light_rules_start_without_torch():
    modules = [
        f"bacon.reporting.{name}" for name in ("collect.evaluations", "tables.run_tables", "collect.distilled_files")
    ]
    modules += [f"bacon.reporting.figures.{name}" for name in ("accuracy", "curve", "loss", "images")]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_sets_that_diverged_are_named_below_the_tables(tmp_path):
    images = np.zeros((10, 1, 4, 4))
    seen = "iteration 99: the root mean square of an image is 600, 300 times the largest real pixel (2)"
    cost = collect_cost([distilled(tmp_path, images), distilled(tmp_path, images, seed=1, divergence=seen)])
    assert divergence_notes(cost) == [
        f"Warning: digits/bacon/ipc1/seed1 diverged: {seen}. Lower the method's learning rate."
    ]
    assert divergence_notes(cost[:1]) == []
