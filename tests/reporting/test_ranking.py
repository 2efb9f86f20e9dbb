from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bacon.cli import main
from bacon.config.loading import check_config
from bacon.evaluation.scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from bacon.plan.plan import Plan
from bacon.reporting.collect.best_checkpoints import best_checkpoints
from bacon.reporting.collect.dd_ranking import rank
from bacon.reporting.collect.evaluations import average_augmentations, collect_accuracy, collect_networks
from bacon.reporting.tables.all_tables import report_tables
from bacon.reporting.tables.make_tables import make as make_tables
from bacon.reporting.tables.run_tables import write_accuracy
from bacon.reporting.targets import PUBLISHED, TARGETS, table_names
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import evaluation, record
from tests.reporting.page_tree import content, parse, rows
from tests.reporting.results import CONFUSION, accuracies, write_report, write_results


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
    with pytest.raises(ValueError, match="not a fraction"):
        hard_label_recovery(*accuracies)
    with pytest.raises(ValueError, match="not a fraction"):
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


def validated(expected):
    """Validation prefers DSA, and iteration 100 to 200; test accuracies say the opposite."""
    rows = []
    for seed, accuracy in enumerate(accuracies(expected.method, expected.ipc, expected.seed)):
        for augmentation, less in (("none", 0.0), ("dsa", 0.05)):
            validation = 0.5 + 0.1 * (augmentation == "dsa")
            one = network(seed, augmentation, accuracy - less, validation, iteration=200 * (expected.ipc is not None))
            rows.append(one | {"confusion": CONFUSION})
            if expected.method == "bacon" and seed == 0:
                early = network(seed, augmentation, accuracy - less - 0.1, validation + 0.1, iteration=100, final=False)
                rows.append(early | {"confusion": CONFUSION})
    return rows


DD_RANKING = {
    "preset": "smoke",
    "protocol": "dd-ranking",
    "data": {"cifar10": {"validation": 0.1}},
    "grid": {"datasets": ["cifar10"], "methods": ["random", "bacon"], "ipc": [1, 10], "seeds": 2},
}


class TestInTheReport:
    """Tables in files and on the page, where the run has them, and nowhere else."""

    @pytest.fixture
    def plan(self, tmp_path):
        return write_results(tmp_path, DD_RANKING, records=validated, evaluation=SETTINGS | {"snapshot_seeds": 1})

    def test_the_tables_are_written_and_say_what_chose(self, plan):
        files = {name: plan.directory / path for name, path in TARGETS["tables"].outputs(plan).items()}
        make_tables(plan, fingerprint="fp", outputs=files, published=PUBLISHED)
        assert all(path.is_file() for path in files.values())
        assert "networks_md" not in files
        # 2 x 2 x 2 augmentations of random and BACON at two IPCs, one snapshot of each BACON cell; the full set's 4.
        assert len(pd.read_csv(files["networks"])) == 32 + 8 + 4
        ranking, checkpoints = files["ranking_md"].read_text(), files["checkpoints_md"].read_text()
        assert "| BACON | 10 |" in ranking
        assert "HLR \N{DOWNWARDS ARROW}" in ranking
        assert r"HLR $\downarrow$ & IOR $\uparrow$" in files["ranking_tex"].read_text()
        # Test accuracies without DSA: 80 and 81 for the seeds, less 2.5 with it; ten less at iteration 100.
        assert "| BACON | 10 | 68.0 ± 0.7 | 78.0 ± 0.7 | 2 \N{MULTIPLICATION SIGN} 1 | 2 | 100, 100 |" in checkpoints
        assert "Last: the last iteration" in checkpoints
        assert "fingerprint: fp" in checkpoints

    def test_they_are_on_the_page(self, plan):
        page = parse(write_report(plan).read_text())
        titles = [content(one) for one in page.iter("h3")]
        assert "CIFAR-10: DD-Ranking's scores" in titles
        assert "CIFAR-10: checkpoints chosen on the validation split" in titles
        (table,) = [one for one in page.iter("table") if one.get("id") == "ranking-0"]
        header, *lines = rows(table)
        assert header[:6] == ["Method", "IPC", *("HLR ↓", "IOR ↑", "LRS ↑", "ARS ↑")]
        # Real 0.91 (0.90 and 0.92); BACON at IPC 10 without DSA 0.81 and 0.82, random 0.3 less with the same.
        assert lines[1][:4] == ["BACON", "10", "0.095 ± 0.007", "0.300 ± 0.000"]
        assert lines[1][6:] == ["2 × 2", "dsa", "dsa"]  # noqa: RUF001
        text = content(page)
        assert "No choice uses test accuracy" in text
        assert "every other table shows the last iteration" in text

    def test_another_protocol_has_no_scores_and_no_split_no_checkpoints(self):
        def names(**changes):
            return table_names(Plan(check_config({**DD_RANKING, **changes})))

        assert {"ranking", "checkpoints"} < set(names())
        assert set(names(protocol="paper")) == set(names()) - {"ranking"}
        assert set(names(protocol="paper", data={})) == set(names()) - {"ranking", "checkpoints"}

    def test_without_an_earlier_iteration_that_is_said(self, tmp_path):
        def finals(expected):
            return [one for one in validated(expected) if one["final"]]

        plan = write_results(tmp_path, DD_RANKING, records=finals, evaluation=SETTINGS)
        table = report_tables(plan, published=PUBLISHED)["checkpoints"]
        assert table.grids == []
        assert "there is no checkpoint to choose" in table.caption
        page = parse(write_report(plan).read_text())
        assert not [one for one in page.iter("table") if one.get("id", "").startswith("checkpoints")]
        assert "Tables with nothing to show for this grid Checkpoints chosen on the validation split Only" in content(
            page
        )


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
