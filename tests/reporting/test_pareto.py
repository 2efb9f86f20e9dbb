"""Pareto fronts over every cost: which methods are on them, which are beaten within noise, and how both are shown."""

from __future__ import annotations

from io import StringIO
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.text import Annotation, Text
from rich.console import Console
from scipy import stats

from bacon.cli import main
from bacon.reporting.collect.pareto_points import (
    AXES,
    BEATEN,
    FRONT,
    NOISE,
    UNKNOWN,
    UNTESTED,
    dominated_by,
    left_out_note,
    pair_p_values,
    pareto_front,
    pareto_points,
    standing,
    told_apart,
)
from bacon.reporting.collect.summary import summarise
from bacon.reporting.figures.canvas import panels
from bacon.reporting.figures.labels import place_labels
from bacon.reporting.figures.pareto import cost_figure
from bacon.reporting.figures.pareto_fronts import pareto_figure
from bacon.reporting.figures.style import figure_style, method_styles
from bacon.reporting.tables.cost_tables import summarise_cost
from bacon.reporting.tables.markup import MISSING
from bacon.reporting.tables.pareto_tables import pareto_table, terminal_pareto
from bacon.runtime.errors import BaconError
from tests.reporting.many_costs import NAMES, made_up

NAN = float("nan")


def visible(figure) -> list:
    return [ax for ax in figure.axes if ax.get_visible()]


@pytest.fixture(scope="module")
def many(published):
    """25 methods, three seeds: accuracy, summary, cost and points."""
    accuracy, cost = made_up()
    summary, costs = summarise(accuracy, published), summarise_cost(cost)
    return accuracy, summary, costs, pareto_points(summary, costs, accuracy)


@pytest.fixture(scope="module")
def some(published):
    """The same of four methods."""
    return few(published, methods=4)


def few(published, **options):
    accuracy, cost = made_up(**options)
    summary, costs = summarise(accuracy, published), summarise_cost(cost)
    return accuracy, summary, costs, pareto_points(summary, costs, accuracy)


@pytest.mark.parametrize(
    ("costs", "accuracies", "front"),
    [
        ([3.0, 1.0, 2.0, 4.0], [80.0, 50.0, 40.0, 70.0], [1, 0]),
        ([5.0], [10.0], [0]),
        ([1.0, 1.0], [50.0, 60.0], [1]),  # as cheap, and better
        ([1.0, 2.0], [50.0, 50.0], [0]),  # as good, and cheaper
        ([1.0, 1.0, 2.0], [50.0, 50.0, 40.0], [0, 1]),  # equal in both: on it together
        ([NAN, 2.0, 3.0], [90.0, 50.0, 40.0], [1]),  # of unknown cost: beats none, and is on none
        ([1.0, 2.0], [NAN, 50.0], [1]),
        ([NAN], [50.0], []),
        ([], [], []),
    ],
)
def test_pareto_front_by_hand(costs, accuracies, front):
    assert pareto_front(costs, accuracies) == front


def test_which_point_beats_which():
    beats = dominated_by([1.0, 2.0, 2.0, NAN], [50.0, 60.0, 40.0, 99.0])
    assert [(int(one), int(other)) for one, other in np.argwhere(beats)] == [(0, 2), (1, 2)]


def test_standing_by_hand():
    """Two cheap methods, and three dearer ones that both cheap ones beat by their means: surely, within noise, untested."""
    p = np.full((6, 6), NAN)
    p[0, 2], p[1, 2] = 0.024, 0.5  # adjusted for two: 0.048
    p[0, 3], p[1, 3], p[2, 3] = 0.02, 0.5, NAN  # adjusted for two, for one has no test: 0.04
    p = np.fmax(p, p.T)
    costs, accuracies = [1.0, 1.0, 2.0, 3.0, 4.0, NAN], [60.0, 60.0, 50.0, 40.0, 30.0, 99.0]
    assert standing(costs, accuracies, p) == [FRONT, FRONT, BEATEN, BEATEN, UNTESTED, UNKNOWN]
    p[0, 2] = p[2, 0] = 0.026  # adjusted for two: 0.052
    assert standing(costs, accuracies, p)[2] == NOISE


def test_a_cheaper_method_that_is_worse_counts_as_compared_but_beats_nobody():
    """The p value against the less accurate one is the smallest: it makes nobody beaten, and takes power all the same."""
    p = np.full((3, 3), NAN)
    p[0, 2], p[1, 2] = 1e-9, 0.04
    p = np.fmax(p, p.T)
    assert standing([1.0, 1.0, 2.0], [10.0, 60.0, 50.0], p)[2] == BEATEN  # Holm: 0.04 is the second of two
    p[0, 2] = p[2, 0] = 0.9
    assert standing([1.0, 1.0, 2.0], [10.0, 60.0, 50.0], p)[2] == NOISE  # the first of two: 0.08


def test_p_values_of_all_pairs_are_those_of_the_paired_t_test():
    means = np.random.default_rng(0).normal(50, 2, (5, 4))
    means[3:, 2] = NAN
    found = pair_p_values(means)
    for one, other in combinations(range(4), 2):
        common = ~np.isnan(means[:, one]) & ~np.isnan(means[:, other])
        expected = stats.ttest_rel(means[common, one], means[common, other]).pvalue
        assert found[one, other] == found[other, one] == pytest.approx(expected)
    assert np.isnan(np.diag(found)).all()


def test_without_a_spread_or_a_second_seed_there_is_no_test():
    assert np.isnan(pair_p_values(np.array([[50.0, 60.0]]))).all()
    assert np.isnan(pair_p_values(np.array([[50.0, 60.0], [51.0, 61.0]]))).all()
    assert np.isnan(pair_p_values(np.array([[50.0, NAN], [NAN, 61.0], [40.0, 50.0]]))).all()
    assert np.isnan(pair_p_values(np.array([[50.0, NAN], [NAN, 61.0]]))).all(), "no common seed"


def test_points_hold_every_cost(many):
    *_, points = many
    first = points.iloc[0]
    assert (first["method"], first["n"], len(points)) == ("m0", 6, 25)
    assert first["total_bytes"] == 1228800 + 4000 + 1280040
    assert first["evaluation_images"] == 100000
    assert first["seconds_alone"] - first["seconds_shared"] == pytest.approx(
        4000 * (1 - 1 / 3)
    )  # three seeds share them
    assert first["joules_alone"] > 600_000
    for axis in told_apart(points):
        on_front = [int(place) for place in np.flatnonzero(points[f"front_{axis.name}"] == FRONT)]
        assert sorted(pareto_front(points[axis.name], points["mean_percent"])) == on_front
    assert {FRONT, NOISE, BEATEN} <= set(points["front_seconds_shared"])


def test_with_one_seed_nothing_is_beaten_for_sure(published):
    accuracy, *_, points = few(published, methods=4, seeds=1)
    assert set(points["front_seconds_shared"]) == {FRONT, UNTESTED}
    assert "nothing can be tested" in pareto_figure(points, accuracy, title="t").caption


def test_the_table_marks_fronts_and_leaves_out_what_is_unknown(published):
    accuracy, summary, costs, points = few(published, methods=2, energy=False)
    table = pareto_table(summary, costs, accuracy)
    ((grid, _),) = table.grids
    assert grid.groups[:2] == (("Accuracy", 1), ("Time", 2))
    assert grid.columns[1:4] == ("% [interval] (n)", "networks shared (s)", "networks alone (s)")
    assert "Energy" not in dict(grid.groups)
    assert "Energy, unknown: no device told it" in table.caption
    for row, (_, point) in zip(grid.rows, points.iterrows(), strict=True):
        assert row[2].endswith(" *") == (point["front_seconds_shared"] == FRONT)
        assert row[1].startswith(f"{point['mean_percent']:.1f} [")
    assert list(table.frame["method"]) == ["m0", "m1"]


def test_where_no_method_needs_networks_time_is_time(many):
    *_, points = many
    plain = points.assign(seconds_alone=points["seconds_shared"])
    shown = told_apart(plain)
    assert [axis.title for axis in shown][:2] == ["Time (s)", "Energy (kJ)"]
    assert left_out_note(plain, shown) == ""
    assert "Storage, the same for all methods" in left_out_note(
        plain.assign(total_bytes=5), told_apart(plain.assign(total_bytes=5))
    )


def test_where_no_cost_tells_methods_apart_there_is_the_time(some):
    accuracy, *_, points = some
    same = points.assign(**{axis.name: 5.0 for axis in AXES})
    assert [axis.title for axis in told_apart(same)] == ["Time (s)"]
    (ax,) = visible(pareto_figure(same, accuracy, title="t"))
    assert ax.xaxis.get_major_formatter().get_useOffset() is False
    assert len(ax.collections[0].get_segments()) == 4
    assert "Peak memory, the same for all methods" in left_out_note(same, told_apart(same))


def test_energy_of_a_shared_device_is_marked_and_an_unknown_one_is_a_dash(many):
    accuracy, summary, costs, _ = many
    costs = costs.assign(joules_alone_mean=costs["joules_alone_mean"].mask(costs["method"] == "m7"))
    ((grid, _),) = pareto_table(summary, costs, accuracy).grids
    cells = {row[0]: row[grid.columns.index("networks alone (kJ)")] for row in grid.rows}
    assert "†" in cells["M4"]
    assert "†" not in cells["M1"]
    assert cells["M7"] == MISSING


def test_the_table_is_printed_from_its_file(many, tmp_path):
    *_, points = many
    points.to_csv(tmp_path / "pareto.csv", index=False)
    stream = StringIO()
    terminal_pareto(tmp_path / "pareto.csv", Console(file=stream, width=80))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text, "no name of a method is cut off"
    assert f"{points['mean_percent'].iloc[0]:.1f} [" in text
    assert text.count(" *") >= (points["front_seconds_shared"] == FRONT).sum()
    with pytest.raises(BaconError, match="does not exist"):
        terminal_pareto(tmp_path / "none.csv")
    points.drop(columns="front_total_bytes").to_csv(tmp_path / "pareto.csv", index=False)
    with pytest.raises(BaconError, match="front_total_bytes"):
        terminal_pareto(tmp_path / "pareto.csv")


def test_the_command_prints_what_lies_beside_accuracy_and_under_one_protocol_alone(some, tmp_path):
    *_, points = some
    points.to_csv(tmp_path / "pareto.csv", index=False)
    call = ["table", "--pareto", "--accuracy", str(tmp_path / "accuracy.csv")]
    printed = CliRunner().invoke(main, call)
    assert printed.exit_code == 0, printed.output
    assert f"{points['mean_percent'].iloc[0]:.1f} [" in printed.output
    refused = CliRunner().invoke(main, [*call, "--protocol", "p-idc"])
    assert refused.exit_code == 2
    assert "leave out --protocol" in refused.output


def test_figure_of_many_methods(many):
    accuracy, *_, points = many
    with figure_style(method_styles({name: place for place, name in enumerate(NAMES)}, {})):
        figure = pareto_figure(points, accuracy, title="Accuracy against every cost")
    assert [ax.get_xlabel() for ax in visible(figure)] == [axis.title for axis in told_apart(points)]
    for ax, axis in zip(visible(figure), told_apart(points), strict=True):
        labels = [text for text in ax.texts if isinstance(text, Annotation)]
        boxes = [(text.get_window_extent(), Text.get_window_extent(text))[1] for text in labels]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        panel = ax.get_window_extent()
        assert all(panel.x0 <= box.x0 and box.x1 <= panel.x1 for box in boxes)
        front = pareto_front(points[axis.name], points["mean_percent"])
        named = {text.get_text() for text in labels}
        assert named <= set(points.loc[points[f"front_{axis.name}"].isin([FRONT, NOISE]), "method_title"])
        assert len(named & set(points["method_title"].iloc[front])) >= min(len(front), 4)
        (line,) = [one for one in ax.lines if len(one.get_xdata()) == 2 * len(front) and one.get_marker() == "None"]
        corners = line.get_xydata()
        np.testing.assert_allclose(corners[::2, 0], points[axis.name].iloc[front] * axis.factor)
        np.testing.assert_allclose(corners[::2, 1], points["mean_percent"].iloc[front])
        np.testing.assert_allclose(corners[1::2, 1], corners[::2, 1])
        assert corners[-1, 0] == ax.get_xlim()[1]
        rings = [one for one in ax.lines if one.get_markersize() > 9]
        assert len(rings) == (points[f"front_{axis.name}"] == NOISE).sum()
    assert max(figure.get_size_inches()) < 10


def test_an_unknown_cost_is_left_out_of_its_panel_alone(some):
    accuracy, *_, points = some
    known = points["joules_alone"].mask(points["method"] == "m3")
    figure = pareto_figure(points.assign(joules_alone=known), accuracy, title="t")
    counts = {ax.get_xlabel(): len(ax.collections[0].get_segments()) for ax in visible(figure)}
    assert counts["Energy, networks alone (kJ)"] == 3
    assert counts["Peak memory (MiB)"] == 4


def test_a_cost_of_nothing_has_a_place(some):
    accuracy, *_, points = some
    nothing = points["evaluation_images"].where(points["method"] != "m0", 0.0)
    figure = pareto_figure(points.assign(evaluation_images=nothing), accuracy, title="t")
    ax = visible(figure)[-1]
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] < 0


def test_names_for_which_there_is_no_room_are_left_out():
    figure, ((ax,),) = panels(1, 1, width=2.0, height=1.5)
    placed = place_labels(ax, [(0.5, 0.5)] * 50, ["a name that is long"] * 50, taken=[(0.5, 0.5)])
    assert 0 < len(placed) < 50
    assert list(ax.texts) == placed
    assert not placed[0].arrow_patch.get_visible()
    assert placed[-1].arrow_patch.get_visible()
    figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in placed]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_fewer_seeds_of_one_method_are_compared_over_those_in_common(published):
    accuracy, cost = made_up(3)
    short = accuracy[(accuracy["method"] != "m1") | (accuracy["seed"] == 0)]
    points = pareto_points(summarise(short, published), summarise_cost(cost), short)
    assert pd.notna(points["mean_percent"]).all()
    assert len(points) == 3


def test_names_of_the_cost_figure_cover_no_other_name_and_stay_in_their_panel(many):
    accuracy, summary, costs, _ = many
    with figure_style(method_styles({name: place for place, name in enumerate(NAMES)}, {})):
        figure = cost_figure(summary, costs, accuracy)
    (ax,) = visible(figure)
    labels = [text for text in ax.texts if isinstance(text, Annotation)]
    assert labels
    boxes = [(text.get_window_extent(), Text.get_window_extent(text))[1] for text in labels]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    panel = ax.get_window_extent()
    assert all(panel.x0 <= box.x0 and box.x1 <= panel.x1 and box.y1 <= panel.y1 for box in boxes)


@pytest.mark.parametrize(("seeds", "said"), [(3, True), (1, False)])
def test_captions_explain_the_bars_that_there_are(published, seeds, said):
    accuracy, cost = made_up(3)
    accuracy, cost = (table[table["seed"] < seeds] for table in (accuracy, cost))
    summary, costs = summarise(accuracy, published), summarise_cost(cost)
    points = pareto_points(summary, costs, accuracy)
    for figure in (cost_figure(summary, costs, accuracy), pareto_figure(points, accuracy, title="t")):
        caption = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
        assert ("confidence interval" in caption) == said
        assert ("one distillation seed, so no intervals" in caption) != said
