"""The statistics against independent computations: sums written out in plain Python, textbook tables, simulation."""

from __future__ import annotations

import json
import math
import random as plain_random
import statistics as plain

import numpy as np
import pandas as pd
import pytest

from bacon.reporting.collect.comparisons import compare_methods
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.protocol_text import WHITENED
from bacon.reporting.collect.statistics import hedges_factor, holm, paired, two_level, variance_components
from bacon.reporting.collect.summary import summarise
from bacon.reporting.tables.comparison_tables import comparison_grids, comparison_notes
from tests.reporting.fakes import evaluation, record


def arrays(*groups):
    return [np.array(group, dtype=float) for group in groups]


def test_two_level_by_hand():
    """Three seeds of two networks: seed means 51, 54, 60, mean 55."""
    found = two_level(arrays([50, 52], [53, 55], [59, 61]), nested=True)
    assert found.mean == pytest.approx(55)
    # Within: each seed has squares 1 + 1; 6 / (6 - 3) = 2. Between: 2 * (16 + 1 + 25) / 2 = 42; (42 - 2) / 2 = 20.
    assert found.sd_evaluation == pytest.approx(math.sqrt(2))
    assert found.sd_distillation == pytest.approx(math.sqrt(20))
    # t(0.975, 2) = 4.302653 (tables); seed means have the variance 21.
    half = 4.302653 * math.sqrt(21 / 3)
    assert (found.ci_low, found.ci_high) == pytest.approx((55 - half, 55 + half), abs=1e-5)
    assert (found.df, found.n, found.seeds) == (2, 6, 3)
    assert found.sd == pytest.approx(plain.stdev([50, 52, 53, 55, 59, 61]))


def test_unbalanced_components_against_sums_written_out():
    groups = [[50.0, 52.0, 57.0], [54.0], [59.0, 61.0]]
    total = sum(len(group) for group in groups)
    grand = sum(map(sum, groups)) / total
    means = [plain.mean(group) for group in groups]
    mse = sum((y - m) ** 2 for group, m in zip(groups, means, strict=True) for y in group) / (total - 3)
    msa = sum(len(group) * (m - grand) ** 2 for group, m in zip(groups, means, strict=True)) / 2
    n0 = (total - sum(len(group) ** 2 for group in groups) / total) / 2
    between, within = variance_components(arrays(*groups))
    assert within == pytest.approx(mse)
    assert between == pytest.approx((msa - mse) / n0)
    # Every seed has the same weight in the mean, however many networks it has.
    assert plain.mean(means) != pytest.approx(grand, abs=0.1)
    assert two_level(arrays(*groups), nested=True).mean == pytest.approx(plain.mean(means))


def test_the_summary_of_evaluation_files_against_plain_loops(tmp_path, published):
    """Three distillation seeds of five networks each, from the files' fractions to the table's percent, without numpy."""
    draws = plain_random.Random(4)
    files = []
    for method, base in (("dm", 0.4), ("bacon", 0.6)):
        for seed in range(3):
            centre = base + draws.gauss(0, 0.03)
            records = [record(200, place, centre + draws.gauss(0, 0.01)) for place in range(5)]
            files.append(evaluation(tmp_path, records, method=method, seed=seed, settings={"seeds": 5}))
    accuracy = collect_accuracy(files)
    rows = summarise(accuracy, published).set_index("method")
    means = {}
    for method in ("dm", "bacon"):
        seeds = []
        for one in files:
            if one.method == method:
                content = json.loads(one.path.read_text())
                seeds.append([100 * each["test_accuracy"] for each in content["records"]])
        means[method] = [sum(values) / 5 for values in seeds]
        mean = sum(means[method]) / 3
        within = (
            sum((value - own) ** 2 for own, values in zip(means[method], seeds, strict=True) for value in values) / 12
        )
        between = sum((own - mean) ** 2 for own in means[method]) / 2
        row = rows.loc[method]
        assert row["mean_percent"] == pytest.approx(mean)
        assert row["sd_evaluation"] == pytest.approx(within**0.5)
        # The variance of seed means is that of the seeds and a fifth of that of the networks.
        assert row["sd_distillation"] == pytest.approx((between - within / 5) ** 0.5)
        half = 4.302653 * (between / 3) ** 0.5
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((mean - half, mean + half), abs=1e-4)
        assert (row["n"], row["distillation_seeds"], row["evaluation_seeds"]) == (15, 3, 5)
    differences = [a - b for a, b in zip(means["bacon"], means["dm"], strict=True)]
    centre = sum(differences) / 3
    spread = (sum((one - centre) ** 2 for one in differences) / 2) ** 0.5
    (pair,) = compare_methods(accuracy).to_dict("records")
    t = centre / (spread / 3**0.5)
    assert (pair["difference_points"], pair["t"], pair["d"]) == pytest.approx((centre, t, centre / spread))
    assert pair["p"] == pytest.approx(1 - t / (t * t + 2) ** 0.5)


def test_the_estimator_is_unbiased_in_a_simulation():
    random = np.random.default_rng(0)
    sizes, found = (5, 3, 4, 2), []
    for _ in range(4000):
        groups = [random.normal(0, 3) + random.normal(0, 1, size) for size in sizes]
        found.append(variance_components(groups))
    between, within = np.mean(found, axis=0)
    assert between == pytest.approx(9, rel=0.06)
    assert within == pytest.approx(1, rel=0.03)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """Intervals over networks as if they were independent would cover far less often."""
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(4000):
        groups = [50 + random.normal(0, 2) + random.normal(0, 1, 5) for _ in range(5)]
        found = two_level(groups, nested=True)
        covered += found.ci_low <= 50 <= found.ci_high
    assert 0.94 < covered / 4000 < 0.96


def test_intervals_stay_where_an_accuracy_can_be():
    """Three seeds at 96, 98 and 100: 98 ± 4.302653 * 2 / sqrt(3) = 98 ± 4.97 would end at 103 percent."""
    half = 4.302653 * 2 / math.sqrt(3)
    high = two_level(arrays([96, 96], [98, 98], [100, 100]), nested=True)
    assert (high.ci_low, high.ci_high) == (pytest.approx(98 - half, abs=1e-5), 100.0)
    low = two_level(arrays([0], [2], [4]), nested=True)
    assert (low.ci_low, low.ci_high) == (0.0, pytest.approx(2 + half, abs=1e-5))
    full = two_level(arrays([96, 98, 100]), nested=False)
    assert full.ci_high == 100.0
    # Differences 90, 98, 94: 94 ± 9.94.
    far = paired(np.array([95.0, 99, 97]), np.array([5.0, 1, 3]))
    assert (far.ci_low, far.ci_high) == (pytest.approx(94 - 2 * half, abs=1e-5), 100.0)
    assert paired(np.array([5.0, 1, 3]), np.array([95.0, 99, 97])).ci_low == -100.0
    assert far.p == pytest.approx(1 - far.t / math.sqrt(far.t**2 + 2)), "the test does not know of the range"
    near = paired(np.array([10.0, 12, 14]), np.array([20.0, 24, 28]))
    assert (near.ci_low, near.ci_high) == pytest.approx((-12 - half, -12 + half), abs=1e-5), "not cut at 0"


def test_a_negative_component_is_zero():
    assert variance_components(arrays([1, 9], [4, 6], [5, 5]))[0] == 0.0


def test_what_cannot_be_told_is_missing():
    one_seed = two_level(arrays([50, 52]), nested=True)
    assert math.isnan(one_seed.ci_low)
    assert math.isnan(one_seed.sd_distillation)
    assert one_seed.sd_evaluation == pytest.approx(math.sqrt(2))
    one_network = two_level(arrays([50], [52], [57]), nested=True)
    assert math.isnan(one_network.sd_distillation)
    assert math.isnan(one_network.sd_evaluation)
    assert one_network.ci_low < one_network.mean == pytest.approx(53)
    alone = two_level(arrays([50]), nested=True)
    assert math.isnan(alone.sd)


def test_the_full_data_set_has_its_networks_as_units():
    found = two_level(arrays([96, 98, 97]), nested=False)
    half = 4.302653 / math.sqrt(3)
    assert (found.ci_low, found.ci_high) == pytest.approx((97 - half, 97 + half), abs=1e-5)
    assert (found.df, found.seeds, found.n) == (2, 0, 3)
    assert math.isnan(found.sd_distillation)
    assert found.sd_evaluation == pytest.approx(1)


def test_paired_by_hand():
    found = paired(np.array([10.0, 12, 14]), np.array([9.0, 10, 11]))
    assert found.difference == pytest.approx(2)  # 1, 2, 3: mean 2, sd 1
    assert found.t == pytest.approx(2 * math.sqrt(3))
    # Student's t with two degrees of freedom in closed form: p = 1 - t / sqrt(t^2 + 2).
    assert found.p == pytest.approx(1 - found.t / math.sqrt(found.t**2 + 2))
    assert found.d == pytest.approx(2)
    assert found.g == pytest.approx(2 * hedges_factor(2))
    assert (found.seeds, found.untested) == (3, "")


def test_hedges_factor_against_its_definition():
    for df in (2, 4, 9):
        exact = math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2))
        assert hedges_factor(df) == pytest.approx(exact)
        assert hedges_factor(df) == pytest.approx(1 - 3 / (4 * df - 1), abs=0.02)
    assert math.isnan(hedges_factor(1))


def test_too_few_seeds_give_no_test():
    one = paired(np.array([10.0]), np.array([9.0]))
    assert (one.difference, one.untested) == (1.0, "one common distillation seed")
    assert math.isnan(one.p)


# 0.1 + 0.2 is not 0.3: the differences are the same but for the last bits.
@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [([10.0, 11], [9.0, 10], 1.0), ([50.0, 60], [50.0, 60], 0.0), ([70.1, 70.2, 70.3], [60.1, 60.2, 60.3], 10.0)],
)
@pytest.mark.filterwarnings("error")
def test_equal_differences_give_no_test(first, second, difference):
    found = paired(np.array(first), np.array(second))
    assert found.difference == pytest.approx(difference)
    assert "same difference on every common seed" in found.untested
    assert all(math.isnan(value) for value in (found.t, found.p, found.d, found.g, found.ci_low, found.ci_high))


@pytest.mark.filterwarnings("error")
def test_one_test_image_in_a_network_is_a_difference():
    """One of 10,000 test images in one of 25 networks: the least that real differences differ by."""
    found = paired(np.array([70.0, 80.0, 90.0]), np.array([60.0, 70.0, 80.0 - 0.01 / 25]))
    assert found.untested == ""
    # Differences 10, 10, 10 + h: mean 10 + h / 3, standard error h / 3.
    assert found.t == pytest.approx((10 + 0.0004 / 3) / (0.0004 / 3), rel=1e-6)


def test_holm_against_its_definition():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    # Sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, and never below an earlier one.
    np.testing.assert_allclose(holm(p), [0.03, np.nan, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])


def table(values, **columns):
    rows = [
        {"method": method, "seed": seed, "evaluation_seed": place, "test_accuracy_percent": one}
        for (method, seed), ones in values.items()
        for place, one in enumerate(ones)
    ]
    shared = {
        "dataset": "d",
        "dataset_title": "D",
        "network": "convnet",
        "ipc": 1,
        "final": True,
        "protocol": "p",
        **columns,
    }
    frame = pd.DataFrame([row | shared for row in rows])
    return frame.assign(method_title=frame["method"].str.upper()).astype({"ipc": "Int64", "seed": "Int64"})


def test_a_comparison_of_whitened_with_plain_images_is_marked():
    frame = table({("a", 0): [10, 12], ("a", 1): [20, 21], ("b", 0): [12, 14], ("b", 1): [21, 24]})
    white = pd.Series(frame["method"] == "b").map({True: f"100 epochs, {WHITENED}, last epoch", False: "100 epochs"})
    for protocol, marked in (("100 epochs", False), (white, True), (f"100 epochs, {WHITENED}, last epoch", False)):
        (row,) = (found := compare_methods(frame.assign(protocol=protocol))).to_dict("records")
        assert row["one_whitened"] is marked
        (grid,) = comparison_grids(found)
        assert (grid.rows[0][2][-1] == "†") == marked
        assert any(line.startswith("† one of the two") for line in comparison_notes(found)) == marked


def test_methods_are_compared_on_common_seeds_alone():
    values = {
        ("a", 0): [10, 12], ("a", 1): [20, 20], ("a", 2): [30, 34], ("b", 0): [12, 14], ("b", 1): [21, 23],
        ("b", 2): [38, 40], ("b", 3): [99, 99], ("full", 0): [90, 91],
    }  # fmt: skip
    (row,) = compare_methods(table(values)).to_dict("records")
    # Seed means: a 11, 20, 32; b 13, 22, 39: differences 2, 2, 7.
    assert (row["method"], row["other"], row["seeds"]) == ("b", "a", 3)
    assert row["difference_points"] == pytest.approx(11 / 3)
    assert row["t"] == pytest.approx(11 / 3 / (plain.stdev([2, 2, 7]) / math.sqrt(3)))
    assert row["p_holm"] == pytest.approx(row["p"])
    assert not row["significant"]


def test_a_family_is_a_data_set_and_a_network():
    random = np.random.default_rng(0)
    values = {(method, seed): random.normal(place, 0.3, 2) for place, method in enumerate("abc") for seed in range(4)}
    frames = [table(values, ipc=ipc, dataset=dataset) for dataset in ("d", "e") for ipc in (1, 10)]
    found = compare_methods(pd.concat(frames, ignore_index=True))
    assert len(found) == 12
    for _, family in found.groupby("dataset"):
        assert len(family) == 6
        np.testing.assert_allclose(family["p_holm"].min(), 6 * family["p"].min())


def test_variants_are_compared_with_their_method_in_a_family_of_their_own():
    random = np.random.default_rng(1)
    names = ("a", "b", "b-x", "b-y", "c-x", "c-y")
    values = {(name, seed): random.normal(place, 0.3, 2) for place, name in enumerate(names) for seed in range(4)}
    variants = {name: name[0] for name in names if "-" in name}
    found = compare_methods(table(values), variants)
    pairs = {family: list(zip(rows["method"], rows["other"], strict=True)) for family, rows in found.groupby("family")}
    assert pairs == {"methods": [("b", "a")], "b": [("b-x", "b"), ("b-y", "b")], "c": [("c-y", "c-x")]}
    without = compare_methods(table({key: value for key, value in values.items() if key[0] in "ab"}))
    assert found.loc[found["family"] == "methods", "p_holm"].tolist() == without["p_holm"].tolist()
    of_b = found[found["family"] == "b"]
    assert of_b["p_holm"].min() == pytest.approx(2 * of_b["p"].min())
    titles = [grid.title for grid in comparison_grids(found)]
    assert titles == ["D: methods compared", "D: variants compared with B", "D: variants of c compared"]


def test_untested_pairs_are_neither_significant_nor_not():
    found = compare_methods(table({("a", 0): [1, 2], ("b", 0): [3, 4]}))
    assert found["significant"].isna().all()
    assert list(found["untested"]) == ["one common distillation seed"]


@pytest.mark.filterwarnings("error")
def test_a_pair_without_a_test_says_so_in_the_table():
    same = {(method, seed): [base + seed / 10, base + seed / 10] for method, base in (("a", 60), ("b", 70))
            for seed in range(3)}  # fmt: skip
    found = compare_methods(table(same | {("c", 0): [50, 50], ("c", 1): [50, 51], ("c", 2): [50, 55]}))
    (grid,) = comparison_grids(found)
    texts = {row[0]: row[1:] for row in grid.rows}
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    assert texts[f"B {minus} A"] == ("1", "+10.0", "3", dash, "undefined", "undefined", dash, dash)
    assert "undefined" not in texts[f"C {minus} A"]
    assert "p is undefined where no test is possible: with the same difference on every" in comparison_notes(found)[-1]
    # Two tests in the family, not three.
    tested = found["p"].dropna().sort_values()
    assert found["p_holm"].dropna().min() == pytest.approx(2 * tested.iloc[0])


def test_one_method_has_nothing_to_compare():
    assert compare_methods(table({("a", 0): [1, 2]})).empty
