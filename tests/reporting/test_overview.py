"""What the page opens with: every method at every place, how pairs compare there, and how complete the results are."""

from __future__ import annotations

import json
import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bacon.reporting.collect.overview import Pair, overview
from bacon.reporting.collect.statistics import holm
from bacon.reporting.page.all_results import results_table
from bacon.reporting.page.best_methods import best_table, state
from bacon.reporting.page.pair_numbers import pair_numbers, pair_text

SEEDS = {"a": (40.0, 41.0, 42.5), "b": (39.0, 41.5, 42.0), "c": (20.0, 21.0, 20.5), "d": (30.0,)}
COST = pd.DataFrame(
    {
        "dataset": "cifar10", "method": list(SEEDS), "ipc": 1, "image_bytes": 2048, "label_bytes": 512, "decoder_bytes": 0,
        "wall_seconds_mean": 7.0,
    }
)  # fmt: skip


def accuracy(values, **shared):
    """Rows of ``collect_accuracy``: method -> accuracies in percent of each seed's one network."""
    columns = {
        "dataset": "cifar10", "dataset_title": "CIFAR-10", "network": "convnet", "final": True, "evaluation_seed": 0,
        "label_kind": "hard", "protocol": "100 epochs", **shared,
    }  # fmt: skip
    rows = [
        {"method": name, "method_title": name.upper(), "seed": seed, "ipc": 1, "test_accuracy_percent": value}
        for name, own in values.items()
        for seed, value in enumerate(own)
    ]
    rows += [
        {"method": "full", "method_title": "Full data set", "seed": pd.NA, "ipc": pd.NA, "test_accuracy_percent": value}
        for value in (90.0, 91.0)
    ]
    return pd.DataFrame([row | columns for row in rows]).astype({"ipc": "Int64", "seed": "Int64"})


def texts(table):
    return [[value.text for value in row] for row in table.rows]


def test_methods_stand_by_their_mean_and_its_test_against_the_best():
    (place,) = overview({"paper": accuracy(SEEDS)}, {})
    assert [(one.method, one.standing) for one in place.results] == [
        ("a", "best"), ("b", "tie"), ("d", "no test"), ("c", "worse"), ("full", "full data set"),
    ]  # fmt: skip
    assert (place.best.ours.mean, place.full.ours.n) == (pytest.approx(41.1667, abs=1e-4), 2)


def test_a_pair_is_the_paired_test_adjusted_for_every_pair():
    (place,) = overview({"paper": accuracy(SEEDS)}, {})
    tested = list(combinations("abc", 2))
    p = holm(np.array([stats.ttest_rel(SEEDS[one], SEEDS[other]).pvalue for one, other in tested]))
    for (one, other), expected in zip(tested, p, strict=True):
        low, high = stats.ttest_rel(SEEDS[one], SEEDS[other]).confidence_interval(0.95)
        pair = place.pair(one, other)
        assert pair.p == pytest.approx(expected)
        assert pair.significant == (expected < 0.05)
        assert (pair.ci_low, pair.ci_high) == (pytest.approx(low), pytest.approx(high))
        turned = place.pair(other, one)
        assert (turned.difference, turned.ci_low, turned.ci_high) == (-pair.difference, -pair.ci_high, -pair.ci_low)
    assert math.isnan(place.pair("a", "d").p)


def test_variants_are_not_the_best_and_are_compared_with_their_method_alone():
    (place,) = overview({"paper": accuracy(SEEDS | {"a-more": (60.0, 61.0, 63.0)})}, {"a-more": "a"})
    assert [(one.method, one.standing) for one in place.results][:2] == [("a-more", "variant"), ("a", "best")]
    assert place.pair("a-more", "b") is None
    assert place.pair("a", "a-more").difference == pytest.approx(-20.1667, abs=1e-4)
    assert next(row for row in texts(results_table([place], {"paper": "Paper"}, COST)) if row[0] == "A-MORE")[
        2
    ].startswith("+20.2 [")


def test_pairs_as_whole_numbers():
    (place,) = overview({"paper": accuracy(SEEDS)}, {})
    methods = ["b", "c", "a", "d", "elsewhere"]
    (numbers,) = json.loads(pair_numbers([place], methods))
    by_pair = dict(zip(combinations(methods, 2), numbers, strict=True))
    found = place.pair("b", "a")
    expected = [round(10 * value) for value in (found.difference, found.ci_low, found.ci_high)]
    assert by_pair["b", "a"] == [*expected, 0]
    assert by_pair["b", "c"][3] == 1, "significant"
    assert by_pair["a", "d"] == [100], "one common seed: no test"
    assert by_pair["a", "elsewhere"] is None


def test_a_pair_in_words():
    pair = Pair(difference=-0.04, ci_low=-1.26, ci_high=1.18, p=0.9)
    assert pair_text(pair) == "0.0 [-1.3, +1.2]"
    assert pair_text(Pair(difference=3.1, ci_low=2.0, ci_high=4.2, p=0.01)) == "+3.1 [+2.0, +4.2]*"
    assert pair_text(Pair(difference=3.1, ci_low=math.nan, ci_high=math.nan, p=math.nan)) == "+3.1"


def test_the_best_of_every_place_with_what_is_not_worse_and_other_protocols():
    under = {
        "paper": accuracy(SEEDS),
        "same": accuracy(SEEDS),
        "other": accuracy(SEEDS | {"c": (60.0, 61.0, 62.0)}),
    }
    protocols = {"paper": "Paper", "same": "Same", "other": "Other"}
    table = best_table(overview(under, {}), protocols)
    assert table.title == "Highest mean test accuracy (protocol Paper)"
    (row,) = texts(table)
    assert row[:2] == ["CIFAR-10, IPC 1", "A"]
    assert row[2].startswith("41.2 [")
    assert row[2].endswith("] (3)")
    assert row[3:6] == ["B", "1 of 3; no test of 1", "the same under Same; Other: C (A: worse)"]
    assert row[6].startswith("90.5 [")
    (alone,) = texts(best_table(overview({"paper": accuracy({"a": (1.0, 2.0)})}, {}), {"paper": "Paper"}))
    assert alone[1] == "A"
    assert alone[3:5] == ["none", "nothing to compare with"]


def test_each_result_is_compared_with_the_best_until_a_reference_is_chosen():
    places = overview({"paper": accuracy(SEEDS)}, {})
    table = results_table(places, {"paper": "Paper"}, COST)
    assert [column.title for column in table.columns] == [
        "Method", "Accuracy (%)", "Difference", "Standing", "Data set", "IPC", "Labels", "n", "sd",
        "Storage (KiB)", "Distillation",
    ]  # fmt: skip
    shown = texts(table)
    assert [row[0] for row in shown] == ["A", "B", "D", "C"]
    assert shown[0][2] == "best"
    assert shown[1][2] == pair_text(places[0].pair("b", "a"))
    assert shown[2][2] == "-10.0", "on the seed that both have"
    assert shown[3][3:] == ["worse", "CIFAR-10", "1", "hard", "3", "0.5", "2.5", "7.0 s"]
    assert [(row[0].group, row[0].member) for row in table.rows] == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_what_is_missing_is_said():
    less = {name: own for name, own in SEEDS.items() if name != "b"}
    places = overview({"paper": accuracy(SEEDS), "other": accuracy(less)}, {})
    lines = [remark.text for remark in state(places, 10, [], ["herding"])]
    assert lines[0] == "10 distilled sets, on which 17 networks were trained and tested."
    where = "Missing from the grid (combinations of data set, network, IPC and protocol)"
    assert lines[1] == f"{where}: B in 1 of 2; D has fewer than 3 seeds in 2 of 2."
    assert lines[2].startswith("2 of 5 comparisons with the best method allow no test: ")
    assert lines[3] == "Controls that the grid lacks: herding."
