"""The matrix of methods and protocols, what protocols explain of published gaps, and the optimism of selecting on test."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from bacon.cli import main
from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.evaluations import read_accuracy, under_protocol
from bacon.reporting.collect.protocol_gaps import chosen_protocol_gaps, protocol_gaps
from bacon.reporting.collect.protocol_matrix import protocol_matrix
from bacon.reporting.collect.selection import EPOCHS, ITERATIONS, collect_points, selection
from bacon.reporting.collect.summary import summarise
from bacon.reporting.figures.make_figures import FigureInputs
from bacon.reporting.figures.protocols import protocols_figure
from bacon.reporting.page.contents import report_tables
from bacon.reporting.tables.gap_tables import gap_grids, unsplit_lines
from bacon.reporting.tables.markup import latex, markdown
from bacon.reporting.tables.protocol_tables import matrix_grids, matrix_notes
from bacon.reporting.tables.run_tables import write_accuracy
from bacon.reporting.targets import PUBLISHED, TARGETS
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import evaluation, record
from tests.reporting.results import final_records, write_report, write_results


def accuracy(values, dataset="CIFAR10"):
    """Rows of ``collect_accuracy``: method -> accuracies in percent of each seed's one network."""
    return pd.DataFrame(
        {
            "dataset": "cifar10", "dataset_title": "CIFAR-10", "network": "convnet",
            "ipc": pd.NA if method == "full" else 1, "seed": pd.NA if method == "full" else seed, "final": True,
            "evaluation_seed": seed if method == "full" else 0, "iteration": 0, "method": method,
            "method_title": method.upper(), "test_accuracy_percent": float(value), "protocol": "words",
            "published_dataset": dataset, "published_method": method,
        }
        for method, of_method in values.items()
        for seed, value in enumerate(of_method)
    )  # fmt: skip


def matrix(**protocols):
    titles = {name: name.upper() for name in protocols}
    return protocol_matrix({name: accuracy(of) for name, of in protocols.items()}, titles=titles, controls={"random"})


def test_ranks_intervals_and_changes_of_rank():
    table = matrix(
        one={"full": [90, 91], "random": [20, 21, 22], "a": [40, 41, 42], "b": [30, 31, 32]},
        two={"full": [92, 93], "random": [35, 31, 33], "a": [30, 31, 32], "b": [40, 41, 42]},
    ).set_index(["protocol", "method"])
    assert table.loc["one", "rank"].dropna().to_dict() == {"random": 3, "a": 1, "b": 2}
    assert table.loc["two", "rank"].dropna().to_dict() == {"random": 2, "a": 3, "b": 1}
    assert table.loc["two", "rank_change"].dropna().to_dict() == {"random": 1, "a": -2, "b": 1}
    assert table.loc["one", "rank_change"].isna().all()
    # a and b change places with differences of 10 points on every seed; random and a do so within the noise.
    assert table.loc["two", "change_supported"].dropna().to_dict() == {"random": False, "a": True, "b": True}
    low, high = stats.t.interval(0.95, 2, 41, np.std([40, 41, 42], ddof=1) / math.sqrt(3))
    row = table.loc[("one", "a")]
    assert (row["mean_percent"], row["n"], row["distillation_seeds"]) == (41, 3, 3)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(low), pytest.approx(high))
    assert table.loc[("one", "full"), "distillation_seeds"] == 0
    assert table.loc[("two", "a"), "kendall_tau"] == pytest.approx(-1 / 3)
    assert table["control"].to_dict()["two", "random"]


def test_equal_methods_share_the_better_rank_and_one_seed_supports_nothing():
    table = matrix(one={"a": [10], "b": [10], "c": [5]}, two={"a": [1], "b": [2], "c": [3]})
    assert list(table["rank"][:3]) == [1, 1, 3]
    assert not table["change_supported"].fillna(value=False).any()
    assert table["ci_low"].isna().all()


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([10, 11, 12], "percent ± half of its 95 % interval over distillation seeds (n networks)"),
        ([10], "percent (n networks; one distillation seed, so no intervals)"),
    ],
)
def test_the_heat_map_s_caption_names_intervals_where_there_are_some(seeds, said):
    figure = protocols_figure(matrix(one={"a": seeds, "b": seeds}, two={"a": seeds, "b": seeds}))
    shown = any("±" in text.get_text() for axes in figure.axes for text in axes.texts)
    assert said in figure.caption
    assert shown == ("±" in said)


def test_the_matrix_is_arranged_with_controls_first_and_marks():
    table = matrix(
        one={"a": [40, 41, 42], "random": [20, 21, 22], "full": [90, 91]},
        two={"a": [19, 21, 23], "random": [30, 31, 33], "full": [92, 93]},
    )
    (grid,) = matrix_grids(table)
    assert [row[0] for row in grid.rows] == ["FULL", "RANDOM (control)", "A"]
    assert grid.rows[2][1] == "41.0 [38.5, 43.5] (3) #1"
    assert grid.rows[2][2].endswith("(3) #2 ↓1*")
    assert grid.groups == (("ONE", 1), ("TWO", 1))
    lines = " ".join(matrix_notes(table, ["kmeans"]))
    assert "Controls that this grid lacks: kmeans." in lines
    assert "TWO -1.00." in lines
    assert r"\downarrow" in latex(grid, [])
    assert "↓1\\*" in markdown(grid)


def test_the_notes_say_whose_a_protocol_s_numbers_are():
    table = matrix(
        one={"full": [90, 91], "a": [40, 41], "b": [30, 31]}, two={"full": [92, 93], "a": [1, 2], "b": [3, 4]}
    )
    table["protocol_text"] = ["3 epochs, DSA" if method == "full" else "300 epochs, DSA" for method in table["method"]]
    table.loc[table["protocol"] == "two", "protocol_text"] = "7 epochs, none"
    *_, first, second = matrix_notes(table, [])
    assert first == "ONE: FULL: 3 epochs; methods: 300 epochs; all: DSA."
    assert second == "TWO: 7 epochs, none."


PUBLISHED_ACCURACY = {"a": 50.0, "b": 40.0}


class Printed:
    """Published accuracies as they are asked for."""

    def find(self, *, published_method, **_):
        value = PUBLISHED_ACCURACY.get(published_method)
        return None if value is None else _Printed(value)


class _Printed:
    def __init__(self, value):
        self.accuracy_percent, self.source = value, f"source of {value}"


def gaps(**protocols):
    own = {"a": "new", "b": "old"}
    accuracies = {name: accuracy(of) for name, of in protocols.items()}
    return protocol_gaps(accuracies, Printed(), lambda _, method, __: own.get(method))


def test_the_share_of_a_published_gap_that_protocols_explain():
    new = {"a": [50, 52, 51], "b": [47, 50, 48], "random": [1, 1, 1]}
    old = {"a": [43, 44, 43], "b": [39, 42, 41], "random": [1, 1, 1]}
    (row,) = gaps(old=old, new=new).to_dict("records")
    assert (row["method"], row["other"], row["protocol"], row["other_protocol"]) == ("a", "b", "new", "old")
    values = [((n - o) + (m - p)) / 2 for n, o, m, p in zip(new["a"], old["a"], new["b"], old["b"], strict=True)]
    explained, half = np.mean(values), stats.t.ppf(0.975, 2) * np.std(values, ddof=1) / math.sqrt(3)
    assert row["explained_points"] == pytest.approx(explained)
    assert row["published_gap_points"] == 10
    assert row["share"] == pytest.approx(explained / 10)
    assert row["share_low"] == pytest.approx((explained - half) / 10)
    assert row["share_high"] == pytest.approx((explained + half) / 10)
    # The remainder is what the images make of it: nothing is left over.
    images = np.mean(
        [((n - m) + (o - p)) / 2 for n, o, m, p in zip(new["a"], old["a"], new["b"], old["b"], strict=True)]
    )
    assert row["our_gap_points"] == pytest.approx(explained + images)
    assert row["seeds"] == 3


def test_a_gap_that_images_alone_make_and_one_that_protocols_alone_make():
    images = {"a": [50, 51], "b": [40, 41]}
    (row,) = gaps(old=images, new=images).to_dict("records")
    assert (row["share"], row["our_gap_points"]) == (0, 10)
    protocols = {"old": {"a": [40, 41], "b": [40, 41]}, "new": {"a": [50, 51], "b": [50, 51]}}
    (row,) = gaps(**protocols).to_dict("records")
    assert (row["share"], row["our_gap_points"]) == (1, 10)


def test_pairs_without_two_protocols_or_two_published_numbers_are_none():
    one = {"a": [50, 51], "random": [40, 41]}
    assert gaps(old=one, new=one).empty


def curve(test, validation, seed=0, last=(0.5, 0.6)):
    own = record(100, seed, last[0]) | {"epochs": 100, "validation_accuracy": last[1]}
    return own | {"curve_epochs": [50, 75], "curve_test": test, "curve_validation": validation}


def points_of(tmp_path, *records):
    return collect_points([evaluation(tmp_path, list(records), method="dm", seed=seed) for seed in (0, 1)])


def no_networks(points):
    """Of no evaluated iteration."""
    own = ["iteration", "final", "test_accuracy_percent", "validation_accuracy_percent"]
    return pd.DataFrame(columns=[*own, *points.columns.drop(["epoch", "last"])])


def test_last_best_on_validation_best_on_test_and_the_optimism(tmp_path):
    first, second = curve([0.4, 0.7], [0.9, 0.1]), curve([0.3, 0.2], [0.1, 0.2], seed=1)
    points = points_of(tmp_path, first, second)
    assert len(points) == 2 * 2 * 3
    (row,) = selection({"p": points}, {"p": no_networks(points)}, titles={"p": "P"}).to_dict("records")
    assert row["selected_among"] == EPOCHS
    assert (row["n"], row["points"], row["distillation_seeds"], row["evaluation_seeds"]) == (4, 3, 2, 2)
    # The first network: 40, 70, 50 percent, best on validation at the first point. The second: 30, 20, 50, at the end.
    assert row["last_mean"] == pytest.approx(50)
    assert row["validation_mean"] == pytest.approx((40 + 50) / 2)
    assert row["best_test_mean"] == pytest.approx((70 + 50) / 2)
    assert row["optimism_mean"] == pytest.approx(10)
    assert row["validation_gain_mean"] == pytest.approx(-5)
    assert row["optimism_low"] >= 0


def test_without_validation_nothing_is_chosen_on_it(tmp_path):
    points = points_of(tmp_path, curve([0.4, 0.7], [], last=(0.5, None)))
    assert points["validation_percent"].isna().all()
    (row,) = selection({"p": points}, {"p": no_networks(points)}, titles={"p": "P"}).to_dict("records")
    assert math.isnan(row["validation_mean"])
    assert row["optimism_mean"] == pytest.approx(20)


CONFIG = {
    "preset": "smoke",
    "grid": {"methods": ["random", "dm"], "ipc": [1], "seeds": 2, "protocols": ["p-dsa", "p-idc"]},
    "datasets": {"digits": {"evaluation": {"test_curve": [0.5], "snapshot_seeds": 0}}},
}


def records(expected):
    """Under P-IDC random images are better than DM's; every network has a curve."""
    found = final_records(expected)
    for one in found:
        if expected.protocol_name == "p-idc" and expected.method == "random":
            one["test_accuracy"] += 0.3
        one |= {"curve_epochs": [50], "curve_test": [one["test_accuracy"] + 0.01]}
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("written"), CONFIG, records=records)


def test_a_grid_of_several_protocols_has_their_tables(written):
    tables = report_tables(written, published=PUBLISHED)
    assert {"protocols", "protocol_gaps", "selection"} <= tables.keys()
    every = tables["accuracy"].frame
    assert every["protocol_name"].value_counts().to_dict() == {"p-dsa": 10, "p-idc": 10}
    # Headline tables show the first protocol alone.
    assert len(tables["summary"].frame) == 1 + 2
    frame = tables["protocols"].frame.set_index(["protocol", "method"])
    assert frame.loc[("p-idc", "random"), "rank_change"] == 1
    assert frame.loc[("p-idc", "dm"), "change_supported"]
    chosen = tables["selection"].frame
    assert set(chosen["selected_among"]) == {EPOCHS}
    assert chosen["optimism_mean"].tolist() == pytest.approx([1.0] * len(chosen))
    assert ITERATIONS not in set(chosen["selected_among"])
    assert "results/tables/protocols.csv" in TARGETS["tables"].outputs(written).values()


def test_the_terminal_shows_one_protocol_at_a_time(written, tmp_path, published):
    path = tmp_path / "accuracy.csv"
    write_accuracy(report_tables(written, published=PUBLISHED)["accuracy"].frame, path)
    means = {}
    for protocol in ("p-dsa", "p-idc"):
        result = CliRunner().invoke(main, ["table", "--accuracy", str(path), "--protocol", protocol])
        assert result.exit_code == 0, result.output
        ours = summarise(under_protocol(read_accuracy(path), protocol), published).set_index("method")
        means[protocol] = f"{ours.loc['random', 'mean_percent']:.1f}"
        (line,) = [line for line in result.output.splitlines() if "│ Random" in line]
        assert f"{means[protocol]} " in line
        assert "(4)" in line  # two sets of two networks, not those of both protocols
    assert means["p-dsa"] != means["p-idc"]
    headline = CliRunner().invoke(main, ["table", "--accuracy", str(path)]).output
    assert f"{means['p-dsa']} " in headline
    assert "other protocols with --protocol: p-idc" in headline


def test_an_unknown_protocol_of_the_table_is_refused_with_those_there_are(written):
    accuracy = report_tables(written, published=PUBLISHED)["accuracy"].frame
    with pytest.raises(BaconError, match=r"--protocol.*p-dc.*p-dsa, p-idc"):
        under_protocol(accuracy, "p-dc")


def test_the_heat_map_and_the_page_show_every_protocol(written):
    page = protocols_figure(FigureInputs(written, PUBLISHED).matrix)
    (panel,) = [axes for axes in page.axes if axes.texts]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["P-DSA", "P-IDC"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["Full data set", "Random", "DM"]
    assert any("#1 ↑1*" in text.get_text() for text in panel.texts)
    html = write_report(written).read_text(encoding="utf-8")
    for text in (
        "Digits, IPC 1: under every protocol",
        "what selecting on the test set would add",
        "Title of protocols",
    ):
        assert text in html


def chosen(pairs, own=None, **protocols):
    own = {"a": "new", "b": "old", "random": "old"} | (own or {})
    accuracies = {name: accuracy(of) for name, of in protocols.items()}
    return chosen_protocol_gaps(accuracies, Printed(), lambda _, method, __: own.get(method), pairs)


NEW = {"a": [50, 52, 51], "b": [47, 50, 48], "random": [1, 1, 1]}
OLD = {"a": [43, 44, 43], "b": [39, 42, 41], "random": [1, 1, 1]}


def test_a_chosen_gap_is_that_of_the_table_whichever_method_is_named_first():
    for pair in (("a", "b"), ("b", "a")):
        found, unsplit = chosen([pair], old=OLD, new=NEW)
        pd.testing.assert_frame_equal(found, gaps(old=OLD, new=NEW))
        assert unsplit == []


def test_chosen_gaps_come_first_then_the_largest_each_method_s_protocol_before_the_other_s():
    (gap,) = gaps(old=OLD, new=NEW).to_dict("records")
    rows = [
        gap | {"method_title": title, "published_gap_points": points, "chosen": chosen}
        for title, points, chosen in (("SMALL", 1.0, False), ("LARGE", 20.0, False), ("CHOSEN", 5.0, True))
    ]
    (grid,) = gap_grids(pd.DataFrame(rows), {"new": "New", "old": "Old"})
    assert [row[:3] for row in grid.rows] == [
        ("CHOSEN - B", "New, Old", "5.0"),
        ("LARGE - B", "New, Old", "20.0"),
        ("SMALL - B", "New, Old", "1.0"),
    ]


@pytest.mark.parametrize(
    ("pair", "own", "reason"),
    [
        (("a", "random"), {}, "no source prints an accuracy of RANDOM here with this network"),
        (("a", "b"), {"a": None}, "the protocol that A is published under is not among `grid.protocols`"),
        (("a", "b"), {"a": "old"}, "both are published under the protocol old"),
    ],
)
def test_a_chosen_gap_that_cannot_be_split_says_why(pair, own, reason):
    found, (one,) = chosen([pair], own, old=OLD, new=NEW)
    assert found.empty
    assert reason in one.reason
    (line,) = unsplit_lines([one])
    assert line.startswith(f"A - {pair[1].upper()}, CIFAR-10, IPC 1, convnet: the gap cannot be split, because ")


def test_a_chosen_gap_without_common_seeds_or_nearly_none_says_so(monkeypatch):
    _, (one,) = chosen([("a", "b")], old=OLD, new=NEW | {"a": []})
    assert "no distillation seed of both methods" in one.reason
    monkeypatch.setitem(PUBLISHED_ACCURACY, "a", 40.05)
    _, (one,) = chosen([("a", "b")], old=OLD, new=NEW)
    assert "differ by less than 0.1 points" in one.reason


def test_the_terminal_and_the_table_show_chosen_gaps(written, tmp_path, monkeypatch):
    monkeypatch.chdir(written.directory)
    (tmp_path / "config.yaml").write_text(json.dumps(CONFIG | {"report": {"gaps": [["dm", "random"]]}}))
    call = ["table", "--config", str(tmp_path / "config.yaml"), "--gap", "dm", "random"]
    done = CliRunner().invoke(main, call)
    assert done.exit_code == 0, done.output
    assert "DM - Random, Digits, IPC 1, convnet: the gap cannot be split, because no source prints" in done.output
    refused = CliRunner().invoke(main, [*call[:-1], "bacon"])
    assert refused.exit_code == 1
    assert "--gap" in refused.stderr
    plan = Plan(check_config(CONFIG | {"report": {"gaps": [["dm", "random"]]}}), directory=written.directory)
    assert "the gap cannot be split" in report_tables(plan, published=PUBLISHED)["protocol_gaps"].notes[0]
    with pytest.raises(BaconError, match=r"report\.gaps.*idn"):
        check_config(CONFIG | {"report": {"gaps": [["dm", "idn"]]}})
    with pytest.raises(BaconError, match=r"report\.gaps: \[dm, dm\] names one method twice"):
        check_config(CONFIG | {"report": {"gaps": [["dm", "dm"]]}})
