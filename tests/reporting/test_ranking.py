from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bacon.cli import main
from bacon.evaluation.metrics import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from bacon.reporting.collect import average_augmentations, collect_accuracy, collect_networks
from bacon.reporting.ranking import best_checkpoints, rank
from bacon.reporting.tables import write_accuracy
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import evaluation, record


def test_scores_follow_their_formulas():
    assert hard_label_recovery(0.8, 0.5) == pytest.approx(0.3)
    assert improvement_over_random(0.5, 0.3) == pytest.approx(0.2)
    # alpha = .5 x .2 - .5 x .3 = -.05
    assert label_robust_score(0.3, 0.2) == pytest.approx((math.exp(-0.05) - math.exp(-1)) / (math.e - math.exp(-1)))
    assert label_robust_score(0.3, 0.2, weight=1) == pytest.approx((math.exp(0.2) - 1 / math.e) / (math.e - 1 / math.e))
    assert augmentation_robust_score(0.4, 0.2) == pytest.approx((math.exp(0.3) - 1 / math.e) / (math.e - 1 / math.e))
    assert augmentation_robust_score(0.4, 0.2, weight=0.25) == pytest.approx(label_robust_score(0.0, 0.5))


def test_scores_end_at_zero_and_one():
    assert label_robust_score(1, -1) == pytest.approx(0)
    assert label_robust_score(-1, 1) == pytest.approx(1)
    assert augmentation_robust_score(1, 1) == pytest.approx(1)
    assert augmentation_robust_score(-1, -1) == pytest.approx(0)


@pytest.mark.parametrize("accuracies", [(62.0, 0.3), (0.3, 62.0), (-0.1, 0.3)])
def test_percentages_are_refused(accuracies):
    with pytest.raises(ValueError, match="no fraction"):
        hard_label_recovery(*accuracies)
    with pytest.raises(ValueError, match="no fraction"):
        improvement_over_random(*accuracies)


def network(seed, augmentation, test, validation, *, iteration=0, final=True):
    return record(iteration, seed, test, final=final) | {
        "augmentation": augmentation,
        "validation_accuracy": validation,
    }


SETTINGS = {"augmentations": ["none", "dsa"], "seeds": 2}


@pytest.fixture
def grid(tmp_path):
    """Full, random and BACON; test accuracies per seed (none, dsa); random prefers none on validation, BACON dsa."""
    made = []

    def cell(method, plain, augmented, validation, *, ipc=10, seed=0):
        records = [
            network(one, name, accuracy + delta, chosen)
            for one, delta in ((0, 0.01), (1, -0.01))
            for name, accuracy, chosen in zip(("none", "dsa"), (plain, augmented), validation, strict=True)
        ]
        made.append(evaluation(tmp_path, records, method=method, ipc=ipc, seed=seed, settings=SETTINGS))

    cell("full", 0.95, 0.97, (0.9, 0.9), ipc=None, seed=None)
    cell("random", 0.40, 0.50, (0.6, 0.5))
    cell("random", 0.44, 0.52, (0.6, 0.5), seed=1)
    cell("bacon", 0.70, 0.80, (0.1, 0.2))
    cell("bacon", 0.72, 0.84, (0.1, 0.2), seed=1)
    cell("dm", 0.71, 0.60, (0.1, 0.2))
    cell("dm", 0.73, 0.60, (0.1, 0.2), seed=1)
    return made


def test_ranking_by_hand(grid):
    table = rank(collect_networks(grid))
    assert list(table["method"]) == ["bacon", "dm"]
    row = table.iloc[0]
    hlr, ior = np.array([0.25, 0.23]), np.array([0.80 - 0.40, 0.84 - 0.44])
    gain = (np.array([0.30, 0.32]) + np.array([0.30, 0.28])) / 2
    for name, values in {
        "hlr": hlr,
        "ior": ior,
        "lrs": [label_robust_score(a, b) for a, b in zip(hlr, ior, strict=True)],
        "ars": [label_robust_score(-2 * b, 0) for b in gain],
    }.items():
        assert row[f"{name}_mean"] == pytest.approx(np.mean(values)), name
        assert row[f"{name}_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-12), name
    assert (row["n"], row["evaluation_seeds"], row["ipc"]) == (2, 2, 10)
    assert (row["augmentation"], row["random_augmentation"]) == ("dsa", "none")
    assert [row[k] for k in ("real_plain", "plain", "augmented", "random_plain", "random_augmented")] == pytest.approx(
        [0.95, 0.71, 0.82, 0.42, 0.51]
    )


def test_test_accuracy_does_not_choose_the_augmentation(grid):
    networks = collect_networks(grid)
    # DM is better without augmentation on the test set; validation says otherwise, and is followed.
    row = rank(networks).set_index("method").loc["dm"]
    assert row["augmentation"] == "dsa"
    assert row["ior_mean"] == pytest.approx(np.mean([0.60 - 0.40, 0.60 - 0.44]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[rows["method"] != "random"], "need random images"),
        (lambda rows: rows[rows["method"] != "full"], "the full data set"),
        (lambda rows: rows[rows["augmentation"] != "dsa"], "without and with augmentation"),
        (lambda rows: rows.assign(validation_accuracy_percent=np.nan), r"data\.NAME\.validation"),
    ],
)
def test_what_the_scores_need_is_asked_for(grid, change, message):
    with pytest.raises(BaconError, match=message):
        rank(change(collect_networks(grid)))


def test_accuracy_is_averaged_over_augmentations(grid):
    networks, accuracy = collect_networks(grid), collect_accuracy(grid)
    assert len(networks) == 2 * len(accuracy)
    pd.testing.assert_frame_equal(average_augmentations(networks), accuracy)
    assert list(accuracy.columns) == list(networks.columns)
    row = accuracy[(accuracy["method"] == "bacon") & (accuracy["seed"] == 1)].iloc[0]
    assert row["test_accuracy_percent"] == pytest.approx((73 + 85) / 2)
    assert (row["augmentation"], row["n"], row["wall_seconds"]) == ("none+dsa", 4, 3.0)
    searched = networks.assign(lr_net=networks["augmentation"].map({"none": 0.1, "dsa": 0.01}))
    assert set(average_augmentations(searched)["lr_net"]) == {0.1}
    assert "mean over no augmentation + DSA without flip" in row["protocol"]


def test_missing_networks_of_one_augmentation_are_refused(tmp_path):
    records = [network(0, "none", 0.5, None), network(1, "none", 0.5, None), network(0, "dsa", 0.5, None)]
    one = evaluation(tmp_path, records, settings=SETTINGS)
    with pytest.raises(BaconError, match="3 records, expected 2 with each of the augmentations none, dsa"):
        collect_networks([one])


@pytest.fixture
def snapshots(tmp_path):
    def cell(seed, accuracies):
        records = [
            network(one, "dsa", test, validation, iteration=iteration, final=iteration == 20)
            for iteration, test, validation in accuracies
            for one in ((0, 1) if iteration == 20 else (0,))
        ]
        return evaluation(tmp_path / "snapshots", records, seed=seed)

    # By validation seed 0 takes iteration 10, seed 1 iteration 20; by test it would be 0 and 10.
    return [
        cell(0, [(0, 0.9, 0.1), (10, 0.6, 0.7), (20, 0.5, 0.6)]),
        cell(1, [(0, 0.2, 0.1), (10, 0.9, 0.3), (20, 0.8, 0.6)]),
    ]


def test_the_best_checkpoint_is_the_best_on_validation(snapshots):
    table = best_checkpoints(collect_networks(snapshots))
    (row,) = table.to_dict("records")
    assert row["selection"] == "best on validation"
    assert (row["checkpoints"], row["iterations"], row["n"], row["evaluation_seeds"]) == (3, "10 20", 2, 1)
    assert row["test_mean_percent"] == pytest.approx(70)
    assert row["test_sd_percent"] == pytest.approx(math.sqrt(200))
    assert row["last_mean_percent"] == pytest.approx(65)


def test_without_validation_there_is_no_best_checkpoint(accuracy_of):
    table = best_checkpoints(accuracy_of())
    assert len(table) == 0
    assert "selection" in table.columns


def test_commands_print_the_tables(grid, snapshots, tmp_path):
    write_accuracy(rank(collect_networks(grid)), tmp_path / "ranking.csv")
    write_accuracy(best_checkpoints(collect_networks(snapshots)), tmp_path / "checkpoints.csv")
    ranking = CliRunner().invoke(main, ["ranking", "--table", str(tmp_path / "ranking.csv")])
    assert ranking.exit_code == 0, ranking.output
    assert "0.240 ± 0.014" in ranking.output
    checkpoints = CliRunner().invoke(main, ["checkpoints", "--table", str(tmp_path / "checkpoints.csv")])
    assert "70.0 ± 14.1" in checkpoints.output
    missing = CliRunner().invoke(main, ["ranking", "--table", str(tmp_path / "none.csv")])
    assert missing.exit_code == 1
    assert "protocol: dd-ranking" in missing.output
