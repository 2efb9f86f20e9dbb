from pathlib import Path

import pytest

from bacon.config.layering import resolve
from bacon.config.loading import check_config, grid_cells, load_config, reference_cells
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.training.schedules import drop_unit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("config", "fragments"),
    [
        ({"gird": {}}, ["gird", "did you mean 'grid'", "allowed"]),
        ({"grid": {"seed": 3}}, ["grid.seed", "did you mean 'seeds'"]),
        ({"grid": {"datasets": ["digit"]}}, ["grid.datasets = 'digit'", "did you mean 'digits'", "cifar10"]),
        ({"grid": {"datasets": ["CIFAR10"]}}, ["did you mean 'cifar10'"]),
        (
            {"grid": {"methods": ["bacn"]}},
            ["grid.methods = 'bacn'", "did you mean 'bacon'", "nearest: bacon, ", "32 are allowed"],
        ),
        ({"grid": {"methods": ["full"]}}, ["grid.methods = 'full'", "unknown"]),
        ({"grid": {"ipc": [0]}}, ["grid.ipc.0 = 0", "greater than or equal to 1"]),
        ({"grid": {"ipc": ["ten"]}}, ["grid.ipc.0 = 'ten'", "whole number"]),
        ({"grid": {"ipc": [1, 1]}}, ["grid.ipc", "twice"]),
        ({"grid": {"ipc": [100]}}, ["grid.ipc = 100", "digits/idm", "different images of each class", "at most IPC"]),
        (
            {"grid": {"ipc": [1000], "methods": ["random"]}},
            ["grid.ipc = 1000", "needs 1000 different images", "at most IPC"],
        ),
        ({"grid": {"seeds": 0}}, ["grid.seeds", "at least one"]),
        ({"grid": {"seeds": [1, 1]}}, ["grid.seeds", "twice"]),
        ({"grid": {"networks": ["resnet"]}}, ["grid.networks = 'resnet'", "resnet18", "50 are allowed"]),
        ({"grid": {"exclude": ["digits/*"]}}, ["every cell"]),
        ({"grid": {"exclude": ["digits/bacon/ipc7/*"]}}, ["digits/bacon/ipc7/*", "matches no cell"]),
        ({"overrides": {"digts/bacon": {}}}, ["digts/bacon", "matches no cell"]),
        ({"preset": "demos"}, ["preset = 'demos'", "did you mean 'demo'"]),
        ({"methods": {"bacon": {"distillation": {"iteration": 3}}}}, ["iteration", "did you mean 'iterations'"]),
        ({"methods": {"bacon": {"distillation": {"objective": {"lamda": 1}}}}}, ["lamda", "did you mean 'lambda'"]),
        (
            {"methods": {"bacon": {"distillation": {"objective": {"lambda": 2}}}}},
            ["lambda = 2", "less than or equal to 1"],
        ),
        ({"methods": {"bacon": {"distillation": {"objective": 3}}}}, ["objective = 3", "must hold keys"]),
        ({"methods": {"bacon": {"distillation": {"lr_img": {"a": 1}}}}}, ["lr_img", "single value"]),
        (
            {"methods": {"bacon": {"distillation": {"lr_img": "big"}}}},
            ["methods.bacon.distillation.lr_img = 'big'", "number"],
        ),
        ({"methods": {"bacon": {"distill": {}}}}, ["methods.bacon.distill", "did you mean 'distillation'"]),
        ({"methods": {"nobody": {}}}, ["methods: key = 'nobody'"]),
        (
            {"datasets": {"digits": {"network": {"depth": 0}}}},
            ["datasets.digits.network.depth = 0", "greater than or equal"],
        ),
        (
            {"datasets": {"digits": {"evaluation": {"dsa_strategy": "flip_zoom"}}}},
            ["unknown DSA operation 'zoom'", "cutout"],
        ),
        (
            {"cells": [{"dataset": "digits", "ipc": 1, "evaluation": {"epoch": 3}}]},
            ["cells[0]", "did you mean 'epochs'"],
        ),
        ({"data": {"mine": {"format": "npz"}}}, ["path"]),
        ({"data": {"mine": {"mean": [0.5], "std": [0.5]}}}, ["data: key = 'mine'", "format"]),
        ({"data": {"digits": {"mean": [0.5]}}}, ["both `mean` and `std`"]),
        ({"data": {"digits": {"mean": [0.5], "std": [0.0]}}}, ["positive"]),
        ({"run": {"threads": 0}}, ["run.threads = 0"]),
        ({"run": {"device": "tpu"}}, ["run.device = 'tpu'", "auto"]),
        ({"networks": {"wide": {"widht": 64}}}, ["widht", "did you mean 'width'"]),
        ({"grid": {"seeds": 3.5}}, ["grid.seeds"]),
        ({"methods": {"bacon": {"distillation": {"lr_img": float("nan")}}}}, ["lr_img = nan", "finite number"]),
    ],
)
def test_bad_configurations_name_key_value_and_what_is_allowed(config, fragments):
    with pytest.raises(BaconError) as caught:
        check_config(config)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_misplaced_value_in_a_layer_for_one_network_source():
    with pytest.raises(BaconError, match="method 'dm' has no such setting"):
        check_config({"methods": {"dm": {"distillation": {"networks": {"ce_weight": 1}}}}})


@pytest.mark.parametrize(
    ("text", "message"), [("grid: [", "not a YAML file"), ("- a\n- b\n", "begins with a list"), ("", "is empty")]
)
def test_files_that_are_no_configuration(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(BaconError, match=message):
        load_config(path)
    with pytest.raises(BaconError, match=r"absent\.yaml: cannot be read"):
        load_config(tmp_path / "absent.yaml")


def test_the_default_grid_is_the_one_promised():
    config = load_config(ROOT / "config/config.yaml")
    cells = grid_cells(config)
    assert len(cells) == 5 * 2 * 3
    assert {cell.dataset for cell in cells} == {"digits"}
    assert {cell.method for cell in cells} == {"random", "herding", "dsa", "dm", "bacon"}
    assert {cell.ipc for cell in cells} == {1, 10}
    assert reference_cells(config) == (Cell("digits", "full"),)
    assert resolve(config, cells[0]).settings.evaluation.seeds == 5


# The paper's published settings: data set, IPC, ce_weight, batch_real, net_generate_interval, model_train_steps and the
# interval at which accuracies are reset (published code: eval_interval).
PAPER = """
svhn 1 .5 5000 5 10 100
svhn 10 .5 256 30 10 100
svhn 50 .1 256 30 10 500
cifar10 1 .5 5000 5 10 100
cifar10 10 .5 256 30 10 100
cifar10 50 .1 256 30 10 500
cifar100 1 .5 5000 5 10 100
cifar100 10 .1 256 30 50 100
cifar100 50 .1 256 30 50 500
tinyimagenet 1 .5 256 30 10 100
tinyimagenet 10 .5 256 30 50 500
"""


@pytest.fixture(scope="module")
def paper():
    return load_config(ROOT / "config/paper.yaml")


# IDM's own commands for the cells in which BACON's differ.
IDM = """
cifar100 50 .1 256 30 10 500
tinyimagenet 10 .5 256 30 10 500
tinyimagenet 50 .8 256 30 50 1000
"""
OWN = {tuple(row.split()[:2]) for row in IDM.strip().splitlines()}


@pytest.mark.parametrize(
    ("method", "row"),
    [("bacon", row) for row in PAPER.strip().splitlines()]
    + [("idm", row) for row in PAPER.strip().splitlines() if tuple(row.split()[:2]) not in OWN]
    + [("idm", row) for row in IDM.strip().splitlines()],
)
def test_the_paper_cells(paper, row, method):
    dataset, ipc, ce_weight, batch_real, interval, steps, meter = row.split()
    settings = resolve(paper, Cell(dataset, method, int(ipc), 4)).settings
    distillation, networks = settings.distillation, settings.distillation.networks
    assert (networks.ce_weight, distillation.batch_real) == (float(ce_weight), int(batch_real))
    assert (networks.net_generate_interval, networks.model_train_steps) == (int(interval), int(steps))
    assert networks.meter_interval == int(meter)
    assert (distillation.iterations, distillation.partition, distillation.init) == (20_000, 2, "real")
    assert (distillation.lr_img, distillation.momentum, distillation.update) == (0.2, 0.5, "per_class")
    assert distillation.dsa_strategy == "color_crop_cutout_flip_scale_rotate"
    assert (networks.start, networks.capacity, networks.networks_trained, networks.batch_train) == (3, 100, 2, 256)
    assert (networks.lr_net, networks.momentum, networks.weight_decay) == (0.01, 0.9, 5e-4)
    assert settings.network.model_dump() == {
        "architecture": "convnet", "width": 128, "depth": 3, "norm": "instance", "activation": "relu", "pooling": "avg",
        "precision": "tf32",
    }  # fmt: skip
    evaluation = settings.evaluation
    assert (evaluation.seeds, evaluation.epochs, drop_unit(evaluation.epochs)) == (5, 1001, 501)
    assert (evaluation.batch_size, evaluation.lr_net, evaluation.momentum) == (256, 0.01, 0.9)
    assert evaluation.weight_decay == 5e-4
    assert evaluation.dsa_strategy == "color_crop_cutout_flip_scale_rotate"


def test_the_paper_grid_has_the_11_cells_for_every_method_and_5_seeds(paper):
    cells = grid_cells(paper)
    rows = {(row.split()[0], int(row.split()[1])) for row in PAPER.strip().splitlines()}
    assert {(cell.dataset, cell.ipc) for cell in cells} == rows
    assert len(rows) == 11
    assert len(cells) == 11 * 4 * 5
    bacon = resolve(paper, Cell("cifar10", "bacon", 10, 0)).settings.distillation.objective
    assert (bacon.lambda_, bacon.clip) == (0.8, "published_code")


def test_dm_keeps_its_own_published_settings_in_the_paper_grid(paper):
    for dataset, ipc in (("cifar10", 1), ("svhn", 50)):
        distillation = resolve(paper, Cell(dataset, "dm", ipc, 0)).settings.distillation
        assert (distillation.batch_real, distillation.lr_img, distillation.partition) == (256, 1.0, 1)
        assert (distillation.networks.source, distillation.update) == ("fresh", "joint")
        assert distillation.iterations == 20_000


@pytest.mark.parametrize("text", ["digits/bacon/10/0", "digits", "digits/bacon/ipc10", "digits/bacon/ipcX/seed0"])
def test_cell_names(text):
    with pytest.raises(BaconError, match="digits/bacon/ipc10/seed0"):
        Cell.parse(text)


@pytest.mark.parametrize("text", ["digits/bacon/ipc10/seed0", "digits/full"])
def test_cell_names_round_trip(text):
    assert str(Cell.parse(text)) == text


@pytest.mark.parametrize(
    "config",
    [
        {"grid": {"ipc": [500], "methods": ["bacon"]}, "methods": {"bacon": {"distillation": {"init": "noise"}}}},
        {"grid": {"ipc": [500]}, "data": {"digits": {"format": "npz", "path": "own.npz"}}},
        {"grid": {"ipc": [500], "datasets": ["mine"]}, "data": {"mine": {"format": "npz", "path": "own.npz"}}},
    ],
    ids=["noise", "own data under a registered name", "own data"],
)
def test_ipc_is_held_against_the_official_class_size_only_where_official_images_are_the_start(config):
    assert check_config(config).grid.ipc == (500,)


def test_the_fast_configuration_keeps_the_method_and_the_evaluation():
    """The preset is below the method's layer, which holds lr_img; the configuration file raises it."""
    fast, paper = load_config(ROOT / "config/fast.yaml"), load_config(ROOT / "config/paper.yaml")
    cell = Cell("cifar10", "bacon", 1, 0)
    quick, full = (resolve(config, cell).settings for config in (fast, paper))
    assert quick.evaluation == full.evaluation
    assert quick.network == full.network
    assert quick.distillation.lr_img > full.distillation.lr_img
    assert quick.distillation.iterations < full.distillation.iterations
    same = {"objective", "partition", "init", "update", "momentum", "dsa_strategy"}
    assert all(getattr(quick.distillation, name) == getattr(full.distillation, name) for name in same)
    assert quick.distillation.networks.ce_weight == full.distillation.networks.ce_weight
