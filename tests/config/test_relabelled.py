"""Rows of soft labels (grid.relabelled): which variants they are, and what is refused."""

import pytest

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.config.relabelled import with_relabelled
from bacon.config.unreached import unreached_values
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

HALF = {"half": {"method": "dm", "title": "DM/2", "distillation": {"lr_img": 0.5}, "evaluation": {"epochs": 7}}}


def checked(methods=("random", "dm"), relabelled=("random",), **other):
    grid = {"datasets": ["digits"], "methods": list(methods), "relabelled": list(relabelled), "seeds": 1}
    return check_config({"preset": "smoke", "protocol": "p-dsa", "grid": grid} | other)


def test_a_row_follows_its_method_and_differs_by_labels_alone():
    config = checked()
    assert config.grid.methods == ("random", "random_soft", "dm")
    assert config.variants["random_soft"].title == "Random, soft labels"
    plain, soft = (resolve(config, Cell("digits", name, 1, 0)).settings for name in ("random", "random_soft"))
    assert (plain.evaluation.labels, soft.evaluation.labels) == ("hard", "teacher")
    assert soft.evaluation.model_copy(update={"labels": "hard"}) == plain.evaluation
    assert (soft.distillation, soft.network) == (plain.distillation, plain.network)
    assert with_relabelled(config) == config, "a configuration that is checked again stays what it is"
    assert not unreached_values(config)


def test_a_row_of_a_variant_keeps_its_settings():
    config = checked(["dm", "half"], ["half"], variants=HALF)
    settings = resolve(config, Cell("digits", "half_soft", 1, 0)).settings
    assert config.variants["half_soft"].title == "DM/2, soft labels"
    assert (settings.distillation.lr_img, settings.evaluation.epochs) == (0.5, 7)


@pytest.mark.parametrize("name", ["dm", "half"])
def test_a_row_names_the_layers_that_the_file_has(name):
    config = checked(["dm", "half"], [name], variants=HALF)
    plain, row = (resolve(config, Cell("digits", each, 1, 0)).origin for each in (name, f"{name}_soft"))
    labels = ("evaluation", "labels")
    assert row[labels] == "grid.relabelled"
    assert {key: layer for key, layer in row.items() if key != labels} == {
        key: layer for key, layer in plain.items() if key != labels
    }


def test_labels_of_a_method_below_the_row_are_no_warning_and_those_above_it_are():
    stored = {"evaluation": {"labels": "stored"}}
    assert not unreached_values(checked(datasets={"digits": stored}))
    for above in (stored, {"evaluation": {"labels": "hard"}}):
        (line,) = unreached_values(checked(overrides={"digits/random_soft/*": above}))
        assert line.startswith("grid.relabelled.evaluation.labels = 'teacher' is used for no cell: overrides[")
    grid = {"methods": ["random"], "relabelled": ["random"], "exclude": ["*/random_soft/*"], "seeds": 1}
    assert unreached_values(check_config({"preset": "smoke", "grid": grid})) == (
        "grid.relabelled is used for no cell: grid.exclude leaves its rows out",
    )


def test_a_mistake_in_a_variant_is_told_once():
    wrong = {"half": {"method": "dm", "distillation": {"lr_imgs": 0.5}}}
    with pytest.raises(BaconError) as told:
        checked(["dm", "half"], ["half"], variants=wrong)
    assert str(told.value).count("lr_imgs") == 1


def test_the_row_takes_settings_of_its_own_by_its_name():
    config = checked(overrides={"digits/random_soft/*": {"evaluation": {"teachers": {"epochs": 9}}}})
    assert resolve(config, Cell("digits", "random_soft", 1, 0)).settings.evaluation.teachers.epochs == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relabelled": ["herding"]}, r"grid.relabelled: 'herding' is not one of grid.methods \(random, dm\)"),
        ({"relabelled": ["random", "random"]}, "grid.relabelled: 'random' is listed twice"),
        ({"protocol": "p-rded"}, r"'random' is evaluated with labels of teachers already \(protocol p-rded\)"),
        (
            {"protocol": "p-kip"},
            r"'random' is evaluated by regression \(ntk\) under protocol p-kip, which takes no labels",
        ),
        ({"variants": {"random_soft": {"method": "dm"}}}, "would be called 'random_soft', which is there"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(BaconError, match=message):
        checked(**changes)


def test_a_row_cannot_be_evaluated_by_regression_under_any_of_several_protocols():
    grid = {"methods": ["random"], "relabelled": ["random"], "protocols": ["p-dsa", "p-kip"], "seeds": 1}
    with pytest.raises(BaconError, match=r"grid.relabelled: 'random' .* under protocol p-kip, .*; leave out either"):
        check_config({"preset": "smoke", "grid": grid})


def test_rows_that_repeat_their_methods_under_one_of_several_protocols_are_named():
    grid = {"methods": ["random", "dm"], "relabelled": ["random", "dm"], "protocols": ["p-dsa", "p-rded"], "seeds": 2}
    assert unreached_values(check_config({"preset": "smoke", "grid": grid})) == (
        "grid.relabelled changes nothing under protocol p-rded, whose labels come from teachers already: random_soft repeats "
        "random and dm_soft repeats dm there",
    )
    soft = {"digits/dm_soft/*": {"evaluation": {"teachers": {"epochs": 9}}}}
    (line,) = unreached_values(check_config({"preset": "smoke", "grid": grid, "overrides": soft}))
    assert line.endswith(": random_soft repeats random there"), "other teachers are another evaluation"
