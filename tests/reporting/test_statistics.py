"""The statistics against independent computations: sums written out in plain Python, textbook tables, simulation."""

from __future__ import annotations

import math
import statistics as plain

import numpy as np
import pandas as pd
import pytest

from bacon.reporting.comparisons import compare_methods
from bacon.reporting.statistics import hedges_factor, holm, paired, two_level, variance_components


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
    groups = [[50.0, 52.0, 57.0], [53.0], [59.0, 61.0]]
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
    assert two_level(arrays(*groups), nested=True).mean == pytest.approx(plain.mean(means))


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
        groups = [random.normal(0, 2) + random.normal(0, 1, 5) for _ in range(5)]
        found = two_level(groups, nested=True)
        covered += found.ci_low <= 0 <= found.ci_high
    assert 0.94 < covered / 4000 < 0.96


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
    assert (one.difference, one.untested) == (1.0, "one common seed")
    assert math.isnan(one.p)
    equal = paired(np.array([10.0, 11]), np.array([9.0, 10]))
    assert equal.untested == "no common spread"
    assert math.isnan(equal.t)


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
    shared = {"dataset": "d", "dataset_title": "D", "network": "convnet", "ipc": 1, "final": True, **columns}
    frame = pd.DataFrame([row | shared for row in rows])
    return frame.assign(method_title=frame["method"].str.upper()).astype({"ipc": "Int64", "seed": "Int64"})


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


def test_untested_pairs_are_neither_significant_nor_not():
    found = compare_methods(table({("a", 0): [1, 2], ("b", 0): [3, 4]}))
    assert found["significant"].isna().all()
    assert list(found["untested"]) == ["one common seed"]


def test_one_method_has_nothing_to_compare():
    assert compare_methods(table({("a", 0): [1, 2]})).empty
