"""Which figures a plan has, and the reasons for those it has not; what Snakemake and the report expect is what is drawn."""

from __future__ import annotations

import pandas as pd
import pytest

from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.sensitivity_study import sensitivity_points
from bacon.reporting.figures.catalogue import drawn, left_out
from bacon.reporting.figures.make_figures import DRAW
from bacon.reporting.figures.protocol_pages import COLUMN, FRAME, NAMES, layout, pages
from bacon.reporting.figures.protocols import protocols_figure
from tests.reporting.conftest import ROOT
from tests.reporting.many_results import GRID


def plan_of(**changes):
    grid = {"datasets": ["digits"], "methods": ["random", "dm", "bacon"], "ipc": [1, 10], "seeds": 1}
    return Plan(check_config({"preset": "smoke", "grid": grid | changes.pop("grid", {}), **changes}))


def topics(plan):
    return {figure.topic for figure in drawn(plan)}


def reasons(plan):
    return {figure.topic: figure.reason for figure in left_out(plan)}


def test_a_grid_has_each_figure_or_a_reason():
    for plan in (plan_of(), plan_of(grid={"methods": ["random"]}), plan_of(grid={"networks": ["convnet", "mlp"]})):
        assert not topics(plan) & reasons(plan).keys()
        assert topics(plan) | reasons(plan).keys() == {*DRAW, "pareto", "evolution", "embedding"}
        names = [figure.name for figure in drawn(plan)]
        assert len(set(names)) == len(names)


def test_figures_of_a_small_grid_are_left_out_with_a_reason():
    found = reasons(plan_of())
    assert set(found) == {"figure3", "cross_architecture", "protocols", "sensitivity"}
    assert "one evaluation network" in found["cross_architecture"]
    selected = reasons(plan_of(grid={"methods": ["random"]}))
    assert {"curve", "seconds", "cost", "pareto", "loss", "queue", "evolution"} < set(selected)
    assert "select real images" in selected["loss"]
    assert reasons(plan_of(grid={"methods": ["dm"]}))["queue"] == "no method of the grid trains a queue of networks"


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        ({"grid": {"networks": ["convnet", "mlp"]}}, "cross_architecture"),
        ({"grid": {"protocols": ["p-dsa", "p-idc"]}}, "protocols"),
        ({"grid": {"datasets": ["cifar10"]}}, "figure3"),
    ],
)
def test_a_larger_grid_has_them(changes, topic):
    assert topic in topics(plan_of(**changes))


VARIANTS = {
    "bacon-0.2": {"method": "bacon", "distillation": {"objective": {"lambda": 0.2}}},
    "bacon-both": {"method": "bacon", "distillation": {"objective": {"lambda": 0.2}, "lr_img": 0.1}},
    "bacon-noise": {"method": "bacon", "distillation": {"init": "noise"}},
    "idm-0": {"method": "idm", "distillation": {"networks": {"ce_weight": 0.0}}},
}


def test_sensitivity_is_of_variants_that_differ_in_one_number():
    plan = plan_of(grid={"methods": ["bacon", *VARIANTS], "ipc": [1]}, variants=VARIANTS)
    found = [(point.base, point.key, point.method, point.value) for point in sensitivity_points(plan)]
    # One with two changes, one that is no number, and one whose method is not in the grid say nothing.
    key = "distillation.objective.lambda"
    assert found == [("bacon", key, "bacon", 0.8), ("bacon", key, "bacon-0.2", 0.2)]
    assert "sensitivity" in topics(plan)
    assert "sensitivity" in reasons(plan_of(grid={"methods": ["bacon"]}))


def test_without_snapshots_there_is_no_curve_and_no_evolution():
    none = plan_of(overrides={"digits": {"distillation": {"snapshot_interval": 0}}})
    assert {"curve", "evolution"} <= reasons(none).keys()
    assert "loss" in topics(none)


def test_images_during_distillation_are_one_figure_per_data_set_and_ipc():
    names = [figure.name for figure in drawn(plan_of()) if figure.topic == "evolution"]
    assert names == ["evolution_digits_ipc1", "evolution_digits_ipc10"]


def test_accuracy_against_every_cost_is_a_figure_per_data_set_and_ipc():
    names = [figure.name for figure in drawn(plan_of()) if figure.topic == "pareto"]
    assert names == ["pareto_digits_ipc1", "pareto_digits_ipc10"]


def test_every_topic_has_a_caption_for_snakemakes_report():
    for topic in (*DRAW, "pareto", "evolution", "embedding", "images"):
        assert (ROOT / "workflow" / "report" / f"{topic}_figure.rst").stat().st_size > 50


@pytest.mark.parametrize(
    ("methods", "protocols", "ipcs", "networks"),
    [(25, 3, [3, 3, 3, 3], 1), (4, 3, [2], 1), (5, 12, [3, 1], 2), (34, 12, [3], 1), (12, 2, [3, 1], 1)],
)
def test_pages_of_heat_maps_hold_every_panel_and_can_be_printed(methods, protocols, ipcs, networks):
    every = [(group, ipc) for group, count in enumerate(ipcs) for ipc in range(count * networks)]
    chosen = layout(methods=methods + 1, protocols=protocols, ipcs=max(ipcs))
    made = pages(every, chosen)
    assert [panel for page in made for panel in page] == every
    assert chosen.lines * (FRAME + chosen.row * (methods + 1)) <= 9.5
    assert chosen.across == 1 or NAMES + chosen.across * COLUMN * protocols <= 10.5


def test_a_large_grid_has_as_many_pages_of_heat_maps_as_are_drawn():
    few, many = plan_of(grid={"protocols": ["p-dsa", "p-idc"]}), Plan(check_config(GRID))
    names = [figure.name for figure in drawn(many) if figure.topic == "protocols"]
    assert names == ["protocols", "protocols_2", "protocols_3", "protocols_4"]
    (only,) = (figure for figure in drawn(few) if figure.topic == "protocols")
    assert (only.name, only.title) == ("protocols", "Accuracy by evaluation protocol")
    titles = {name: name for name in few.protocols}
    rows = [
        {"dataset": "digits", "dataset_title": "Digits", "network": "convnet", "ipc": ipc, "method": method}
        | {"method_title": method, "control": False, "protocol": name, "protocol_title": name, "mean_percent": 50.0}
        | {"ci_low": 49.0, "ci_high": 51.0, "n": 4, "rank": 1, "rank_change": 0, "change_supported": False}
        for ipc in (1, 10)
        for method in [f"m{number}" for number in range(25)]
        for name in titles
    ]
    page = protocols_figure(pd.DataFrame(rows).astype({"ipc": "Int64"}))
    first, second = (ax for ax in page.axes if ax.texts)
    assert len(first.get_yticklabels()) == 25
    assert not second.get_yticklabels(), "the same rows are named once"
    assert page.get_size_inches()[1] < 11
    assert "page" not in page.title
