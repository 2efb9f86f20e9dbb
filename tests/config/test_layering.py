import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacon.config.layering import resolve
from bacon.config.layers import layers
from bacon.config.loading import check_config
from bacon.config.schema import config_schema
from bacon.config.setting_errors import flatten
from bacon.config.unreached import unreached_values
from bacon.methods.registry import METHODS
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

CELL = Cell("digits", "bacon", 10, 0)
KEY = ("distillation", "networks", "ce_weight")

# Where one value can be set, lowest layer first (the preset and the built-in method layer lie below all of them).
LAYERS = ("methods", "datasets", "cells", "overrides")


def make(values):
    """A configuration that sets ce_weight in the layers given."""
    config = {"preset": "paper", "grid": {"datasets": ["digits"], "ipc": [1, 10], "seeds": 2}}
    for layer, value in values.items():
        section = {"distillation": {"networks": {"ce_weight": value}}}
        config[layer] = {
            "methods": {"bacon": section},
            "datasets": {"digits": section},
            "cells": [section | {"dataset": "digits", "ipc": 10}],
            "overrides": {"digits/bacon/ipc10/seed*": section},
        }[layer]
    return check_config(config)


@given(st.dictionaries(st.sampled_from(LAYERS), st.floats(0, 100), max_size=4))
def test_the_highest_layer_wins_and_is_named(values):
    resolved = resolve(make(values), CELL)
    highest = max(values, key=LAYERS.index) if values else None
    assert resolved.settings.distillation.networks.ce_weight == (values[highest] if highest else 0.5)
    label = resolved.origin[KEY]
    assert label == "default" if highest is None else label.startswith(highest)


@given(st.dictionaries(st.sampled_from(LAYERS), st.floats(0, 100), max_size=4))
def test_other_cells_keep_their_value(values):
    """A (data set, IPC) layer or an override of IPC 10 does not touch IPC 1; a method layer does not touch another."""
    config = make(values)
    expected = values.get("datasets", values.get("methods", 0.5))
    assert resolve(config, Cell("digits", "bacon", 1, 0)).settings.distillation.networks.ce_weight == expected
    other = values.get("cells", values.get("datasets", 0.5))
    assert resolve(config, Cell("digits", "idm", 10, 0)).settings.distillation.networks.ce_weight == other


@given(st.permutations(list(LAYERS)))
def test_the_order_of_keys_in_the_file_does_not_matter(order):
    values = dict(zip(LAYERS, (1.0, 2.0, 3.0, 4.0), strict=True))
    assert resolve(make({name: values[name] for name in order}), CELL) == resolve(make(values), CELL)


@given(st.integers(0, 10_000), st.integers(1, 2000), st.floats(1e-4, 10))
def test_layers_merge_key_by_key(iterations, epochs, lr):
    """Layers that set different keys do not disturb each other, and nothing else changes."""
    plain = resolve(make({}), CELL)
    config = check_config(
        {
            "grid": {"ipc": [10], "seeds": 1},
            "methods": {"bacon": {"distillation": {"iterations": iterations}}},
            "datasets": {"digits": {"evaluation": {"epochs": epochs}}},
            "overrides": {"digits/bacon": {"distillation": {"lr_img": lr}}},
        }
    )
    merged = resolve(config, CELL)
    before = dict(flatten(plain.settings.model_dump(by_alias=True)))
    after = dict(flatten(merged.settings.model_dump(by_alias=True)))
    changed = {("distillation", "iterations"), ("evaluation", "epochs"), ("distillation", "lr_img")}
    assert {key for key in after if after[key] != before[key]} <= changed
    assert [after[key] for key in sorted(changed)] == [iterations, lr, epochs]


@pytest.mark.parametrize("method", list(METHODS))
def test_every_value_has_a_layer(method):
    cell = Cell("digits", "full") if method == "full" else Cell("digits", method, 1, 0)
    resolved = resolve(make({}), cell)
    keys = {key for key, _ in flatten(resolved.settings.model_dump(by_alias=True))}
    assert keys <= set(resolved.origin)


def test_keys_that_do_not_concern_a_method_are_left_out():
    config = check_config(
        {"grid": {"seeds": 1}, "datasets": {"digits": {"distillation": {"iterations": 7, "networks": {"start": 4}}}}}
    )
    assert resolve(config, Cell("digits", "random", 1, 0)).settings.distillation.model_dump() == {"partition": 1}
    assert resolve(config, Cell("digits", "dm", 1, 0)).settings.distillation.networks.model_dump() == {
        "source": "fresh"
    }
    assert resolve(config, Cell("digits", "idm", 1, 0)).settings.distillation.networks.start == 4
    assert resolve(config, Cell("digits", "full")).settings.distillation is None


def test_an_ablation_by_configuration_alone():
    """DM's objective in a queue, BACON's in fresh networks: the tag decides which keys there are."""
    config = check_config(
        {
            "grid": {"seeds": 1},
            "methods": {
                "dm": {"distillation": {"networks": {"source": "queue", "start": 5}}},
                "bacon": {"distillation": {"networks": {"source": "fresh"}, "objective": {"lambda": 0.1}}},
            },
        }
    )
    assert resolve(config, Cell("digits", "dm", 1, 0)).settings.distillation.networks.start == 5
    bacon = resolve(config, Cell("digits", "bacon", 1, 0)).settings.distillation
    assert bacon.networks.source == "fresh"
    assert bacon.objective.lambda_ == 0.1


def test_a_named_method_must_have_the_key():
    with pytest.raises(BaconError, match=r"methods\.random\.distillation\.iterations = 5: method 'random' has no such"):
        check_config({"methods": {"random": {"distillation": {"iterations": 5}}}})
    layer = {"distillation": {"networks": {"net_generate_interval": 5}}}
    with pytest.raises(BaconError, match=r"cells\[0\].*net_generate_interval = 5: method 'dm'"):
        check_config({"cells": [layer | {"dataset": "digits", "ipc": 1, "methods": ["dm"]}]})


def test_the_order_of_the_layers_is_the_documented_one():
    labels = [layer.label for layer in layers(make(dict.fromkeys(LAYERS, 1.0)), CELL)]
    assert labels == [
        "protocol paper",
        "method bacon",
        "methods.bacon",
        "data set digits",
        "datasets.digits",
        "cells[0]",
        "overrides[digits/bacon/ipc10/seed*]",
    ]


def test_a_plan_gives_every_cell_the_settings_that_it_has_by_itself():
    """Also the seed that an override names, and a mistake that only one seed's override holds is found."""
    values = {"preset": "paper", "grid": {"datasets": ["digits"], "ipc": [1, 10], "seeds": 3}}
    only = {
        "digits/bacon/ipc10/seed1": {"distillation": {"lr_img": 0.5}},
        "digits/*/*/seed2": {"network": {"depth": 1}},
    }
    config = check_config(values | {"overrides": only})
    plan = Plan(config)
    assert all(plan.resolved(cell) == resolve(config, cell) for cell in (*plan.references, *plan.cells))
    fingerprints = [plan.distilled_fingerprint(cell) for cell in plan.cells]
    assert len(set(fingerprints)) == len(fingerprints)
    with pytest.raises(BaconError, match="depth"):
        check_config(values | {"overrides": {"digits/*/ipc1/seed2": {"network": {"depth": 12}}}})


SHARPNESS = ("distillation", "experts", "sharpness")


def sharpened(**layers_of_the_file):
    """A configuration of DATM and MTT whose layers set what is sharp in the training of their experts."""

    def section(value):
        return {"distillation": {"experts": {"sharpness": value}}}

    grid = {"datasets": ["digits"], "methods": ["datm", "mtt"], "ipc": [1], "seeds": 1}
    found = {"preset": "smoke", "grid": grid}
    for layer, (name, value) in layers_of_the_file.items():
        found[layer] = {name: section(value)}
    return check_config(found)


def experts_of(config, method="datm"):
    resolved = resolve(config, Cell("digits", method, 1, 0))
    return resolved.settings.distillation.experts, resolved


def test_null_takes_out_a_part_that_may_be_left_out():
    default, _ = experts_of(sharpened())
    assert (default.sharpness.rho, default.sharpness.gap) == (0.01, 0.3)
    none, resolved = experts_of(sharpened(methods=("datm", None)))
    assert none.sharpness is None
    assert (".".join(SHARPNESS), None, "methods.datm") in resolved.rows()
    assert none.model_dump(exclude={"sharpness"}) == default.model_dump(exclude={"sharpness"})


def test_null_takes_out_the_keys_of_lower_layers_and_higher_ones_bring_the_part_back():
    config = sharpened(
        methods=("datm", {"rho": 0.2}), datasets=("digits", None), overrides=("digits/mtt/*", {"rho": 0.5, "gap": 0.1})
    )
    none, resolved = experts_of(config)
    assert none.sharpness is None
    assert resolved.taken_out[*SHARPNESS, "rho"] == "datasets.digits"
    back, resolved = experts_of(config, "mtt")
    assert (back.sharpness.rho, back.sharpness.gap) == (0.5, 0.1)
    assert resolved.taken_out[SHARPNESS] == "overrides[digits/mtt/*]"
    (line,) = unreached_values(config)
    assert line.startswith(
        "methods.datm.distillation.experts.sharpness.rho = 0.2 is used for no cell: datasets.digits sets"
    )


def test_null_changes_the_trainings_that_are_planned():
    keys = [
        {need.key for need in Plan(config).needs(Cell("digits", "datm", 1, 0))}
        for config in (sharpened(), sharpened(methods=("datm", None)))
    ]
    assert keys[0].isdisjoint(keys[1])


def test_null_of_a_part_that_must_be_there_sets_nothing():
    """Empty, as if it were not there: nothing is under it, and it has no other meaning."""
    config = {"preset": "smoke", "grid": {"datasets": ["digits"], "methods": ["datm"], "ipc": [1], "seeds": 1}}
    empty = check_config(config | {"methods": {"datm": {"distillation": {"experts": None}}}})
    cell = Cell("digits", "datm", 1, 0)
    assert resolve(empty, cell) == resolve(check_config(config), cell)


def test_the_schema_lets_those_parts_be_null_and_no_others():
    layer = config_schema()["$defs"]["Layer"]["properties"]
    experts = layer["distillation"]["properties"]["experts"]
    assert experts["properties"]["sharpness"]["type"] == ["object", "null"]
    assert experts["type"] == "object"
    assert layer["evaluation"]["properties"]["teachers"]["properties"]["network"]["type"] == ["object", "null"]


def test_the_size_that_a_data_set_is_brought_to_decides_what_a_protocol_takes_for_large():
    def rules(name, **data):
        config = check_config(
            {"preset": "paper", "protocol": "p-idc", "data": {name: data}, "grid": {"datasets": [name]}}
        )
        return len(resolve(config, Cell(name, "random", 10, 0)).settings.evaluation.epochs_by_images)

    own = {"format": "imagefolder", "path": "mine"}
    assert [rules("mine", **own, **size) for size in ({}, {"size": 64}, {"size": 128})] == [0, 0, 5]
    assert [rules("cifar10"), rules("cifar10", size=128)] == [0, 5]
