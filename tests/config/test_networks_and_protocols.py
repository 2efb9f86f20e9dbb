"""Named evaluation networks and protocols: what they resolve to, and what does not go together with the data."""

from __future__ import annotations

from typing import get_args

import pytest

from bacon.config.layering import resolve
from bacon.config.layers import protocol_name
from bacon.config.loading import check_config
from bacon.config.presets import NETWORKS
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.evaluation import EvaluationSettings, merged_evaluation
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocol_records import PROTOCOLS
from bacon.settings.protocols import ProtocolName, protocol_settings
from bacon.settings.recipe import LossTermSettings
from bacon.settings.trained_networks import EnsembleSettings
from bacon.training.schedules import rate

CELL = Cell("digits", "bacon", 10, 0)


def config(**keys):
    grid = {"datasets": ["digits"], "methods": ["random", "bacon"], "ipc": [10], "seeds": 1}
    return check_config({**keys, "grid": grid | keys.get("grid", {})})


def test_every_known_network_fits_32_pixel_images_and_has_its_own_settings():
    plan = Plan(config(grid={"datasets": ["cifar10"], "networks": list(NETWORKS)}))
    cell = Cell("cifar10", "bacon", 10, 0)
    found = {name: plan.evaluation_network(cell, name) for name in NETWORKS}
    assert found["vgg11_bn"].model_dump() == {"architecture": "vgg11", "norm": "batch", "precision": "tf32"}
    assert found["convnet_w64"].model_dump() == plan.settings(cell).network.model_dump() | {"width": 64}
    own = {"convnet_w128", "convnet_d3"}  # the cell's own network by another name
    assert len({str(network) for name, network in found.items() if name not in own}) == len(found) - 2


def test_another_architecture_takes_nothing_of_the_cells_network():
    first = Plan(config(grid={"networks": ["resnet18"]}))
    wider = Plan(config(grid={"networks": ["resnet18"]}, datasets={"digits": {"network": {"width": 64}}}))
    reference = Cell("digits", "full")
    assert first.record_fingerprint(reference, "resnet18") == wider.record_fingerprint(reference, "resnet18")
    assert first.record_fingerprint(reference, "convnet") != wider.record_fingerprint(reference, "convnet")


def test_a_cell_can_be_distilled_with_another_architecture():
    chosen = config(datasets={"digits": {"network": {"architecture": "alexnet"}}})
    # The registry's width and depth of digits are a ConvNet's: they do not concern it.
    assert resolve(chosen, CELL).settings.network.model_dump() == {
        "architecture": "alexnet",
        "norm": "none",
        "precision": "tf32",
    }


def test_a_layer_may_have_the_keys_of_the_architecture_below_it():
    chosen = config(
        datasets={"digits": {"network": {"architecture": "resnet18", "norm": "batch"}}},
        overrides={"digits/bacon/*": {"network": {"stem": "7x7"}}},
    )
    assert resolve(chosen, CELL).settings.network.stem == "7x7"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"grid": {"networks": ["resnet"]}}, "grid.networks = 'resnet' is unknown; did you mean 'resnet[0-9]+'"),
        ({"networks": {"n": {"architecture": "vgg"}}}, r"networks.n.architecture = 'vgg'.*'vgg11'"),
        (
            {"networks": {"n": {"architecture": "vgg11", "width": 3}}, "grid": {"networks": ["n"]}},
            "networks.n: vgg11 has no `width`; its keys are architecture, norm",
        ),
        (
            {"networks": {"n": {"architecture": "mlp", "norm": "batch"}}, "grid": {"networks": ["n"]}},
            "networks.n: `norm` of mlp is none, not batch",
        ),
        (
            {"networks": {"n": {"depth": 5}}, "grid": {"networks": ["n"]}},
            "networks.n with digits: network.depth: 5 blocks halve images of 16x16 pixels until nothing is left; "
            "allowed.*1 to 4",
        ),
        ({"datasets": {"digits": {"network": {"depth": 5}}}}, "network with digits: network.depth: 5 blocks"),
        (
            {"networks": {"n": {"norm": "group", "width": 6}}, "grid": {"networks": ["n"]}},
            "networks.n with digits: network.width: 6 channels cannot be divided",
        ),
        (
            {"data": {"digits": {"size": 8}}, "grid": {"networks": ["lenet"]}},
            "networks.lenet with digits: network.architecture: lenet.*8x8",
        ),
        (
            {"datasets": {"digits": {"network": {"architecture": "mlp", "depth": 2}}}},
            "datasets.digits.network.depth = 2: mlp has no such setting; its keys are architecture, norm",
        ),
        (
            {
                "methods": {"bacon": {"network": {"pooling": "max"}}},
                "datasets": {"digits": {"network": {"architecture": "mlp"}}},
            },
            "methods.bacon.network.pooling = .max.: the network of cell digits/bacon.* is not a convnet",
        ),
        (
            {"datasets": {"digits": {"network": {"stem": "7x7"}}}},
            "datasets.digits.network.stem = '7x7': convnet has no such setting; its keys are architecture, width, depth",
        ),
        ({"protocol": "dcbench"}, "protocol = 'dcbench'.*'dc-bench'"),
        (
            {"protocol": "dd-ranking"},
            r"evaluation.lr_search of digits/full .*set data.digits.validation, for example to 0.1",
        ),
        (
            {
                "protocol": "dd-ranking",
                "data": {"digits": {"validation": 0.1}},
                "grid": {"methods": ["bacon"]},
            },
            "protocol dd-ranking compares every method with random images: add 'random' to grid.methods",
        ),
        (
            {"datasets": {"digits": {"evaluation": {"augmentations": ["none", "none"]}}}},
            "evaluation: `augmentations` lists none, none: list each value once",
        ),
        (
            {"datasets": {"digits": {"evaluation": {"augmentations": ["none", "dsa"], "dsa_strategy": "none"}}}},
            "`dsa_strategy` is none: they would be the same",
        ),
        ({"datasets": {"digits": {"evaluation": {"augmentations": ["mixup"]}}}}, "augmentations"),
        ({"datasets": {"digits": {"evaluation": {"lr_search": [0]}}}}, "lr_search"),
    ],
)
def test_what_does_not_go_together_is_a_clear_error(keys, message):
    with pytest.raises(BaconError, match=f"(?s){message}"):
        config(**keys)


RUNNING = [name for name, record in PROTOCOLS.items() if not record.missing]


def test_every_protocol_that_may_be_named_is_a_record():
    assert get_args(ProtocolName) == tuple(PROTOCOLS)


def test_native_gives_each_method_the_protocol_of_its_own_publication():
    grid = {"methods": ["dc", "dsa", "mtt", "short"]}
    variants = {"short": {"method": "dc", "distillation": {"iterations": 7}}}
    native = config(protocol="native", preset="paper", grid=grid, variants=variants)
    for method, name in (("dc", "p-dc"), ("dsa", "p-dsa"), ("mtt", "p-mtt"), ("short", "p-dc")):
        cell = Cell("cifar10", method, 1, 0)
        assert protocol_name(native, method) == name == protocol_name(config(protocol=name), method)
        assert (
            resolve(native, cell).settings.evaluation
            == resolve(config(protocol=name, preset="paper", grid=grid, variants=variants), cell).settings.evaluation
        )
    assert protocol_name(native, "full") == "paper"
    assert resolve(native, Cell("cifar10", "dc", 1, 0)).origin["evaluation", "epochs"] == "protocol p-dc"


@pytest.mark.parametrize("protocol", ["p-dc", "p-cafe"])
def test_mnist_is_augmented_as_the_program_of_dc_does_which_that_of_cafe_is_made_of(protocol):
    mnist, other = (protocol_settings(protocol, DataFacts(name=name, size=28)) for name in ("mnist", "fashionmnist"))
    assert (mnist["epochs"], mnist["augmentations"], mnist["dc_strategy"]) == (1001, ["dc"], "crop_scale_rotate")
    assert other["augmentations"] == ["none"]


def test_native_plans_what_the_protocol_itself_plans():
    grid = {"methods": ["dc"], "seeds": 1}
    native, named = (Plan(config(protocol=name, preset="paper", grid=grid)) for name in ("native", "p-dc"))
    (cell, *_) = native.cells
    assert native.evaluation_fingerprint(cell, "convnet") == named.evaluation_fingerprint(cell, "convnet")
    other = Plan(config(protocol="p-dsa", preset="paper", grid=grid))
    assert native.evaluation_fingerprint(cell, "convnet") != other.evaluation_fingerprint(cell, "convnet")
    assert native.distilled_fingerprint(cell) == other.distilled_fingerprint(cell)


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name not in RUNNING])
def test_a_protocol_that_cannot_run_yet_says_what_it_needs(protocol):
    with pytest.raises(BaconError, match=f"(?s){protocol} cannot run yet: .*{PROTOCOLS[protocol].missing[:20]}"):
        resolve(config(protocol=protocol), CELL)


@pytest.mark.parametrize("protocol", RUNNING)
def test_a_protocol_is_the_lowest_layer_and_named(protocol):
    chosen = config(protocol=protocol, preset="paper", data={"digits": {"validation": 0.1}})
    resolved = resolve(chosen, CELL)
    for name, value in PROTOCOLS[protocol].evaluation.items():
        found = resolved.settings.evaluation.model_dump(mode="json")[name]
        expected = [LossTermSettings(**term).model_dump(mode="json") for term in value] if name == "loss" else value
        if name == "teachers":
            expected = EnsembleSettings(**value).model_dump(mode="json")
        assert found == expected
        inner = tuple(value) if name == "teachers" else ()
        assert resolved.origin["evaluation", name, *inner] == f"protocol {protocol}"
    own = {"digits": {"evaluation": {"epochs": 7}}}
    explicit = resolve(config(protocol=protocol, data={"digits": {"validation": 0.1}}, datasets=own), CELL)
    assert explicit.settings.evaluation.epochs == 7
    one = explicit.settings.evaluation.with_augmentation(explicit.settings.evaluation.augmentations[0], 0.01)
    if one.augmentations != ("none",):  # dc-bench has other epochs for that one
        assert one.recipe(images=20, classes=10).epochs == 7, "steps of the protocol were kept"
    assert explicit.origin["evaluation", "epochs"] == "datasets.digits"


def frepo(dataset, ipc, **keys):
    own = config(grid={"datasets": [dataset], "ipc": [ipc]}, protocol="p-frepo", **keys)
    return resolve(own, Cell(dataset, "random", ipc, 0)).settings.evaluation


@pytest.mark.parametrize(
    ("dataset", "ipc", "steps"),
    [
        ("cifar10", 1, 1000),
        ("cifar10", 10, 2000),
        ("cifar100", 1, 2000),
        ("cifar10", 50, 5000),
        ("cifar100", 10, 10_000),
        ("cifar100", 50, 40_000),
        ("tinyimagenet", 1, 20_000),
        ("tinyimagenet", 10, 40_000),
        ("cifar10", 2, 2000),
    ],
)
def test_frepos_protocol_counts_its_steps_by_the_number_of_images(dataset, ipc, steps):
    recipe = frepo(dataset, ipc, preset="paper").recipe(images=10 * ipc, classes=10)
    assert recipe.steps == steps
    assert recipe.epochs is None
    assert recipe.ema is None, "the published code keeps an average and tests the network without it"


@pytest.mark.parametrize(("dataset", "mirrored"), [("mnist", False), ("fashionmnist", False), ("cifar10", True)])
def test_frepos_protocol_mirrors_neither_mnist_nor_fashionmnist(dataset, mirrored):
    assert ("flip" in frepo(dataset, 1, preset="paper").augmentation("frepo").strategy) == mirrored


def test_a_preset_that_shortens_epochs_leaves_a_protocol_that_counts_steps_enough_of_them():
    """A hundred steps of Adam at 3e-4, a fifth of its warm-up, would be a network that has hardly moved."""
    cells = (("digits", 1), ("digits", 10), ("cifar10", 50))
    assert [frepo(*cell, preset="demo").steps for cell in cells] == [1000, 2000, 2000]
    chosen = frepo("digits", 1, preset="demo", datasets={"digits": {"evaluation": {"epochs": 7}}})
    assert chosen.steps is None, "a file that says how many epochs means no steps"
    assert chosen.epochs == 7
    assert frepo("digits", 1, preset="smoke").steps is None


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("protocol", ["p-idc", "p-dance"])
def test_idcs_epochs_on_imagenet_are_hundreds_and_with_a_hundred_classes_about_two_thirds(protocol, classes):
    settings = merged_evaluation(protocol_settings(protocol, DataFacts(name="own", size=224, classes=classes, ipc=1)))
    found = [settings.passes(images=each * classes, classes=classes) for each in (1, 10, 50, 200, 500, 501)]
    assert found == {10: [3000, 2000, 1500, 1000, 500, 300], 100: [2000, 1300, 1000, 600, 300, 200]}[classes]
    assert settings.mixing_probability == (1.0 if protocol == "p-idc" else 0.5)


@pytest.mark.parametrize("protocol", ["p-idc", "p-dance"])
@pytest.mark.parametrize(("dataset", "mirrored"), [("svhn", False), ("cifar10", True), ("digits", False)])
def test_idc_mirrors_no_digits(protocol, dataset, mirrored):
    chosen = config(protocol=protocol, preset="paper", grid={"datasets": [dataset], "methods": ["random"], "ipc": [1]})
    augmentation = resolve(chosen, Cell(dataset, "random", 1, 0)).settings.evaluation.augmentation("idc")
    assert augmentation.strategy == "flip_color_crop_scale_rotate"[0 if mirrored else 5 :]


@pytest.mark.parametrize(
    ("protocol", "epochs"),
    [
        ("p-sre2l", 400),
        ("p-gvbsm", 400),
        ("p-sre2l-plus", 300),
        ("p-rded", 300),
        ("p-ncfm", 300),
        ("p-dsa", 100),
        ("p-kipnn", 100),
    ],
)
def test_the_demo_does_not_shorten_adams_training_on_few_images_until_nothing_is_learned(protocol, epochs):
    """A set of one batch has one step an epoch; a tenth of P-DSA's thousand are enough for SGD, not for AdamW at 0.001."""
    assert resolve(config(preset="demo", protocol=protocol), CELL).settings.evaluation.epochs == epochs
    assert resolve(config(preset="smoke", protocol=protocol), CELL).settings.evaluation.epochs == 3


def recipes(protocol, ipc, preset):
    """How the networks of each augmentation are trained on random digits."""
    chosen = config(preset=preset, protocol=protocol, data={"digits": {"validation": 0.1}})
    evaluation = resolve(chosen, Cell("digits", "random", ipc, 0)).settings.evaluation
    each = (evaluation.with_augmentation(name, evaluation.lr_net) for name in evaluation.augmentations)
    return [one.recipe(images=10 * ipc, classes=10) for one in each if one.regression == "none"]


def sum_of_rates(recipe, images):
    units = recipe.total_epochs(images) if recipe.steps is None else recipe.steps
    rates = (rate(recipe.schedule, recipe.optimiser.lr, unit, units) for unit in range(units))
    return sum(rates) * recipe.total_steps(images) / units


@pytest.mark.parametrize("ipc", [1, 10])
@pytest.mark.parametrize("protocol", RUNNING)
def test_the_demo_leaves_every_protocol_steps_in_which_a_network_can_move(protocol, ipc):
    """A hundred of them; a step of Adam moves a weight by about its rate, so there the rates add up to 0.1."""
    images = 10 * ipc
    for demo, published in zip(*(recipes(protocol, ipc, preset) for preset in ("demo", "paper")), strict=True):
        if demo.total_steps(images) >= published.total_steps(images):
            continue
        assert demo.total_steps(images) >= 100
        if demo.optimiser.kind != "sgd":
            assert sum_of_rates(demo, images) >= 0.1 - 1e-9


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("cifar10", {"optimiser": "adamw", "lr_net": 0.001, "weight_decay": 0.0, "batch_size": 100, "epochs": 1000}),
        ("cifar100", {"optimiser": "sgd", "lr_net": 0.1, "weight_decay": 5e-4, "batch_size": 64, "epochs": 1000}),
        ("tinyimagenet", {"optimiser": "sgd", "lr_net": 0.1, "weight_decay": 5e-4, "batch_size": 100, "epochs": 100}),
    ],
)
def test_gvbsms_networks_are_trained_as_the_script_of_each_data_set_says(dataset, expected):
    settings = merged_evaluation(protocol_settings("p-gvbsm", DataFacts(name=dataset, ipc=10)))
    assert {name: getattr(settings, name) for name in expected} == expected
    assert (settings.momentum, settings.schedule) == (0.9, "cosine")
    assert settings.loss[1].weight == (0.1 if dataset == "tinyimagenet" else 0.15)


def test_dc_bench_trains_longer_with_augmentation_unless_a_preset_shortens_both():
    published = resolve(config(protocol="dc-bench", preset="paper"), CELL).settings.evaluation
    epochs = {name: published.with_augmentation(name, 0.01).epochs for name in published.augmentations}
    # The published loop runs one epoch more than its flag says, as DC's.
    assert epochs == {"none": 301} | dict.fromkeys(("auto", "rand", "imagenet", "cifar", "dsa"), 1001)
    short = resolve(config(protocol="dc-bench", preset="smoke"), CELL).settings.evaluation
    assert {short.with_augmentation(name, 0.01).epochs for name in short.augmentations} == {3}


def test_the_networks_that_a_protocol_asks_for_are_in_the_files_fingerprint_alone():
    one, more = (
        Plan(config(datasets={"digits": {"evaluation": {"augmentations": names}}}))
        for names in (["dsa"], ["dsa", "auto"])
    )
    assert one.record_fingerprint(CELL, "convnet") == more.record_fingerprint(CELL, "convnet")
    assert one.evaluation_fingerprint(CELL, "convnet") != more.evaluation_fingerprint(CELL, "convnet")
    paper, named = Plan(config()), Plan(config(protocol="dc-bench"))
    assert paper.distilled_fingerprint(CELL) == named.distilled_fingerprint(CELL)


CHANGES = {
    "test_curve": [0.5], "seeds": 4, "snapshot_seeds": 2, "augmentations": ["none"], "lr_search": [0.01, 0.1],
    "epochs": 7, "epochs_plain": 7, "batch_size": 17, "lr_net": 0.02, "momentum": 0.8, "weight_decay": 0.001,
    "dsa_strategy": "color", "idc_strategy": "flip", "dc_strategy": "crop", "crop_pad": 3, "crop_fill": "reflect",
    "resized_crop_scale": [0.5, 1.0], "shuffle_patches": 2, "epochs_by_images": [[1, 7]], "steps": 7, "order": "stored",
    "optimiser": "adam", "lr": "learned", "schedule": "cosine", "lr_factor": 0.5, "lr_milestones": [0.5], "lr_warmup": 7,
    "nesterov": True,
    "labels": "stored", "loss": [{"kind": "mse"}], "teacher_norms": "equal", "label_smoothing": 0.1, "mixing": "mixup",
    "mixing_alpha": 0.5,
    "mixing_probability": 0.5, "clip_norm": 1.0, "ema": 0.9, "sam_rho": 0.1, "sam_adaptive": True, "sam_gap": 0.1,
    "initialisation": "fixed", "regression": "ntk", "regression_depth": 2, "regression_bias_std": 0.2, "regression_ridge": 0.1,
}  # fmt: skip


def test_every_setting_of_the_evaluation_has_a_change_below():
    """Teachers count where labels come from them: tests/plan/test_trainings.py."""
    assert {*CHANGES, "teachers"} == EvaluationSettings.model_fields.keys()


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES)
def test_every_setting_makes_the_file_stale_and_what_a_network_depends_on_the_network_too(name, value):
    around = {"augmentations": ["none"]} if name == "regression" else {}  # which has no other
    data = {"digits": {"validation": 0.2}}
    before, after = (
        Plan(config(datasets={"digits": {"evaluation": evaluation}}, data=data))
        for evaluation in (around, {**around, name: value})
    )
    assert before.evaluation_fingerprint(CELL, "convnet") != after.evaluation_fingerprint(CELL, "convnet")
    same = before.record_fingerprint(CELL, "convnet") == after.record_fingerprint(CELL, "convnet")
    # How many networks, and which augmentations and rates: these are in a record's own key.
    assert same == (name in {"seeds", "snapshot_seeds", "augmentations", "lr_search"})
