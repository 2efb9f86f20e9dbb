"""Variants: a method with other settings under a name of its own, from settings to the fingerprint."""

import pytest

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

CONFIG = {
    "preset": "smoke",
    "grid": {"datasets": ["digits"], "methods": ["bacon", "bacon-0.2", "few"], "ipc": [1], "seeds": 1},
    "methods": {"bacon": {"distillation": {"lr_img": 0.3}}},
    "cells": [{"dataset": "digits", "ipc": 1, "methods": ["bacon"], "distillation": {"networks": {"ce_weight": 0.1}}}],
    "variants": {
        "bacon-0.2": {
            "method": "bacon",
            "distillation": {"objective": {"lambda": 0.2}, "networks": {"ce_weight": 0.7}},
        },
        "few": {"method": "random", "title": "Few", "distillation": {"partition": 2}},
    },
}


def test_a_variant_has_its_methods_settings_and_its_own_above_the_cells():
    config = check_config(CONFIG)
    resolved = resolve(config, Cell("digits", "bacon-0.2", 1, 0))
    distillation = resolved.settings.distillation
    assert (distillation.objective.kind, distillation.objective.lambda_) == ("bacon", 0.2)
    assert distillation.lr_img == 0.3, "the method layer of its method"
    assert distillation.networks.ce_weight == 0.7, "above the (data set, IPC) layer"
    assert resolved.origin["distillation", "objective", "lambda"] == "variants.bacon-0.2"
    assert resolve(config, Cell("digits", "bacon", 1, 0)).settings.distillation.networks.ce_weight == 0.1


def test_overrides_come_after_the_variant():
    override = {"digits/bacon-0.2": {"distillation": {"objective": {"lambda": 0.5}}}}
    config = check_config(CONFIG | {"overrides": override})
    assert resolve(config, Cell("digits", "bacon-0.2", 1, 0)).settings.distillation.objective.lambda_ == 0.5


def test_the_plan_of_a_variant():
    plan = Plan(check_config(CONFIG))
    _, variant, few = plan.cells
    assert len({plan.distilled_fingerprint(cell) for cell in plan.cells}) == 3
    assert (plan.method_title("bacon-0.2"), plan.method_title("few")) == ("bacon-0.2", "Few")
    assert variant.distilled_path.parts[3] == "bacon-0.2"
    assert plan.settings(few).distillation.partition == 2


def test_a_variant_without_changes_is_made_of_the_same_settings():
    plain = CONFIG["variants"] | {"bacon-0.2": {"method": "bacon"}}
    plan = Plan(check_config(CONFIG | {"variants": plain}))
    assert plan.distilled_fingerprint(plan.cells[0]) == plan.distilled_fingerprint(plan.cells[1])


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"v": {"method": "bacn"}}, r"variants\.v\.method = 'bacn'.*bacon"),
        ({"dm": {"method": "bacon"}}, "'dm' is the name of a method"),
        ({"a_b/c": {"method": "bacon"}}, "used in paths"),
        ({"v": {"method": "random", "distillation": {"lr_img": 1.0}}}, "no such setting"),
        ({"v": {"method": "bacon", "distillation": {"objektive": 1}}}, "objektive"),
        ({"v": {"distillation": {}}}, "method"),
    ],
)
def test_bad_variants(variants, message):
    with pytest.raises(BaconError, match=message):
        check_config(CONFIG | {"variants": CONFIG["variants"] | variants})
