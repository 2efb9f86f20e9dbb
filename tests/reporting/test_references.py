"""What methods are compared with: named references, the best of each IPC, or every other method."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bacon.config.loading import check_config
from bacon.operations.workflow_plan import aggregate_fingerprint, report_fingerprint
from bacon.plan.plan import Plan
from bacon.reporting.collect.comparisons import compare_methods
from bacon.reporting.tables.comparison_tables import comparison_grids, comparison_notes
from bacon.reporting.targets import PUBLISHED
from bacon.runtime.errors import BaconError
from tests.reporting.test_statistics import table

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@pytest.fixture
def accuracy() -> pd.DataFrame:
    """Four methods and a variant, four seeds; d is the best at IPC 1, c at IPC 10."""
    random = np.random.default_rng(2)
    frames = []
    for ipc, means in (
        (1, {"random": 20, "b": 25, "c": 30, "d": 31, "d-x": 90}),
        (10, {"random": 40, "b": 45, "c": 60, "d": 55}),
    ):
        values = {(name, seed): random.normal(mean, 0.5, 2) for name, mean in means.items() for seed in range(4)}
        frames.append(table(values, ipc=ipc))
    return pd.concat(frames, ignore_index=True)


VARIANTS = {"d-x": "d"}


def pairs(found: pd.DataFrame, family: str) -> set[tuple]:
    rows = found[found["family"] == family]
    return set(zip(rows["ipc"], rows["method"], rows["other"], strict=True))


def key(found: pd.DataFrame) -> pd.DataFrame:
    """Rows by IPC and the unordered pair of methods."""
    names = [" ".join(sorted(pair)) for pair in zip(found["method"], found["other"], strict=True)]
    return found.assign(pair=names).set_index(["ipc", "pair"])


def test_named_references_make_a_family_of_their_own(accuracy):
    found = compare_methods(accuracy, VARIANTS, references=["random"])
    assert pairs(found, "references") == {(ipc, name, "random") for ipc in (1, 10) for name in "bcd"}
    assert set(found["family"]) == {"references", "d"}
    every = key(compare_methods(accuracy, VARIANTS))
    own = key(found[found["family"] == "references"])
    for column in ("difference_points", "t", "p", "ci_low", "hedges_g"):
        np.testing.assert_allclose(own[column], every.loc[own.index, column])
    # Six tests, not the twelve of all pairs.
    assert own["p_holm"].min() == pytest.approx(6 * own["p"].min())
    assert key(found).loc[(1, "d d-x"), "p_holm"] == every.loc[(1, "d d-x"), "p_holm"], "variants are compared as ever"


def test_the_reference_is_subtracted_wherever_it_stands_in_the_configuration(accuracy):
    found = compare_methods(accuracy, VARIANTS, references=["d"])
    rows = found[found["family"] == "references"]
    assert set(rows["other"]) == {"d"}
    assert list(rows["method_title"]) == [name.upper() for name in rows["method"]]
    every = key(compare_methods(accuracy, VARIANTS))
    for place, row in key(rows).iterrows():
        same = every.loc[place]
        assert same["method"] == "d"
        for column in ("difference_points", "t", "d", "hedges_g"):
            assert row[column] == pytest.approx(-same[column])
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((-same["ci_high"], -same["ci_low"]))
        assert row["p"] == same["p"]
    assert (rows.loc[rows["ipc"] == 1, "difference_points"] < 0).all(), "d is the best at IPC 1"


def test_the_best_is_chosen_at_each_ipc_and_its_tests_pay_for_every_pair(accuracy):
    found = compare_methods(accuracy, VARIANTS, references=["best"])
    assert pairs(found, "best") == {
        *((1, name, "d") for name in ("random", "b", "c")), *((10, name, "c") for name in ("random", "b", "d")),
    }  # fmt: skip
    own, every = key(found[found["family"] == "best"]), key(compare_methods(accuracy, VARIANTS))
    assert (own["difference_points"] < 0).all()
    np.testing.assert_allclose(own["p_holm"], every.loc[own.index, "p_holm"])


def test_several_references_and_all(accuracy):
    default = compare_methods(accuracy, VARIANTS, references=["random", "best"])
    assert list(dict.fromkeys(default["family"])) == ["references", "best", "d"]
    both = compare_methods(accuracy, VARIANTS, references=["random", "d"])
    assert len(pairs(both, "references")) == 10, "the pair of the two references stands once at each IPC"
    assert (1, "d", "random") in pairs(both, "references")
    every = compare_methods(accuracy, VARIANTS, references=["random", "all"])
    assert set(every["family"]) == {"methods", "d"}
    assert len(pairs(every, "methods")) == 12


def test_tables_have_methods_down_and_ipc_across(accuracy):
    found = compare_methods(accuracy[accuracy["method"] != "d-x"], references=["random", "best"])
    random, best = comparison_grids(found)
    assert (random.title, best.title) == ("D: compared with RANDOM", "D: compared with the best method")
    assert random.groups == (("IPC 1", 2), ("IPC 10", 2))
    assert best.groups == (("IPC 1: D", 2), ("IPC 10: C", 2))
    assert [row[0] for row in random.rows] == ["B", "C", "D"]
    lines = {row[0]: row[1:] for row in best.rows}
    assert set(lines) == {"RANDOM", "B", "C", "D"}
    assert lines["D"][:2] == ("best", "")
    assert lines["C"][2:] == ("best", "")
    row = key(found[found["family"] == "best"]).loc[(10, "c random")]
    low, high = row["ci_low"], row["ci_high"]
    assert lines["RANDOM"][2].rstrip("*") == f"{row['difference_points']:+.1f} [{low:+.1f}, {high:+.1f}]"
    assert lines["RANDOM"][2].endswith("*") == bool(row["significant"])
    (words, where) = comparison_notes(found, ["random", "best"])
    assert "adjusted for all methods, references and IPCs" in words
    assert "every pair of methods at all IPCs" in words
    assert "report.references" in where


def test_a_method_without_one_of_the_ipcs_has_a_dash(accuracy):
    partly = accuracy[~((accuracy["method"] == "b") & (accuracy["ipc"] == 10))]
    (grid,) = comparison_grids(compare_methods(partly[partly["method"] != "d-x"], references=["random"]))
    lines = {row[0]: row[1:] for row in grid.rows}
    assert lines["B"][2:] == (DASH, DASH)


def test_references_that_the_grid_lacks_leave_nothing(accuracy):
    without = accuracy[~accuracy["method"].isin(["random", "d-x"])]
    found = compare_methods(without, references=["random"])
    assert found.empty
    assert comparison_grids(found) == []
    assert comparison_notes(found, ["random"])[0].startswith(
        "The grid has nothing to compare with the references (random)"
    )
    assert comparison_notes(found, ["best"]) == ["There is only one method: nothing to compare it with."]


def test_a_table_of_25_methods_is_short():
    random = np.random.default_rng(3)
    names = ["random", *(f"m{place}" for place in range(24))]
    values = {(name, seed): random.normal(place, 0.3, 2) for place, name in enumerate(names) for seed in range(3)}
    frame = pd.concat([table(values, ipc=ipc) for ipc in (1, 10, 50)], ignore_index=True)
    grids = comparison_grids(compare_methods(frame, references=["random", "best"]))
    assert [len(grid.rows) for grid in grids] == [24, 25]
    assert len(compare_methods(frame)) == 900


def plan(**report) -> Plan:
    return Plan(check_config({"preset": "smoke", "grid": {"seeds": 1}, "report": report}))


def test_references_are_names_of_methods_best_or_all():
    assert plan().config.report.references == ("random", "best")
    assert plan(references=["idm", "all"]).config.report.references == ("idm", "all")
    with pytest.raises(BaconError, match=r"report\.references = 'bacn'.*bacon"):
        plan(references=["bacn"])


def test_references_make_the_tables_and_the_report_stale_and_no_figure():
    one, other = plan(), plan(references=["all"])
    assert aggregate_fingerprint(one, "tables", PUBLISHED) != aggregate_fingerprint(other, "tables", PUBLISHED)
    assert aggregate_fingerprint(one, "figures", PUBLISHED) == aggregate_fingerprint(other, "figures", PUBLISHED)
    assert report_fingerprint(one, PUBLISHED) != report_fingerprint(other, PUBLISHED)
    cell = one.cells[0]
    assert one.distilled_fingerprint(cell) == other.distilled_fingerprint(cell)
