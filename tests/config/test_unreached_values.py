"""Every layer is checked by itself, and a value that no cell takes gives a warning that names the layer that wins."""

import pytest

from bacon.config.loading import load_config
from bacon.config.unreached import unreached_values
from tests.config.test_configuration import ROOT
from tests.config.texts import load, refusal

GRID = "grid: {datasets: [digits], methods: [random, dm, idm], ipc: [1], seeds: 2}\n"


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (
            "methods: {dm: {distillation: {dsa_strategy: none}}}",
            ["methods.dm.distillation.dsa_strategy = 'none'", "data set digits"],
        ),
        (
            "methods: {dm: {evaluation: {epochs: 3}}}\noverrides: {digits/*: {evaluation: {epochs: 4}}}",
            ["methods.dm.evaluation.epochs = 3", "overrides[digits/*]"],
        ),
        (
            "datasets: {digits: {evaluation: {epochs: 3}}}\ncells: [{dataset: digits, ipc: 1, evaluation: {epochs: 4}}]\n"
            "overrides: {digits/full: {evaluation: {epochs: 5}}}",
            ["datasets.digits.evaluation.epochs = 3", "cells[0]", "overrides[digits/full]"],
        ),
        (
            "datasets: {digits: {evaluation: {steps: 9}}}\noverrides: {digits/*: {evaluation: {epochs: 4}}}",
            ["datasets.digits.evaluation.steps = 9", "overrides[digits/*]"],
        ),
        ("methods: {bacon: {distillation: {lr_img: 1}}}", ["methods.bacon is used for no cell", "random, dm, idm"]),
        ("datasets: {mnist: {network: {width: 8}}}", ["datasets.mnist is used for no cell", "digits"]),
        (
            "cells: [{dataset: digits, ipc: 2, network: {width: 8}}]",
            ["cells[0] (digits, IPC 2) is used for no cell", "IPC 1"],
        ),
        ("cells: [{dataset: digits, ipc: 1, methods: [bacon], network: {width: 8}}]", ["cells[0]", "bacon", "no cell"]),
        ("variants: {v: {method: dm, network: {width: 8}}}", ["variants.v is used for no cell"]),
        (
            "datasets: {digits: {distillation: {objective: {lambda: 0.1}}}}",
            ["objective.lambda = 0.1", "have no such setting"],
        ),
        (
            "overrides: {digits/*: {network: {architecture: lenet}}}\ndatasets: {digits: {network: {width: 8}}}",
            ["datasets.digits.network.width = 8", "have no such setting"],
        ),
    ],
)
def test_a_value_that_no_cell_takes_gives_one_warning(tmp_path, text, fragments):
    warnings = unreached_values(load(tmp_path, GRID + text))
    (line,) = (each for each in warnings if fragments[0] in each)
    assert all(fragment in line for fragment in fragments), line
    assert len(set(warnings)) == len(warnings)


@pytest.mark.parametrize(
    "text",
    [
        "methods: {dm: {distillation: {iterations: 3}}}",
        "datasets: {digits: {distillation: {iterations: 3}}}",
        "overrides: {digits/dm/ipc1/seed1: {distillation: {iterations: 3}}}",
        "methods: {dm: {evaluation: {epochs: 3}}}\noverrides: {digits/*/*/seed0: {evaluation: {epochs: 4}}}",
        "methods: {dm: {evaluation: {epochs: 4}}}\noverrides: {digits/*: {evaluation: {epochs: 4}}}",
        "data: {other: {format: npz, path: x}}\nnetworks: {wide: {width: 64}}",
        "methods: {bacon: {}}",
    ],
)
def test_values_that_some_cell_takes_give_none(tmp_path, text):
    assert unreached_values(load(tmp_path, GRID + text)) == ()


def test_a_built_in_layer_that_wins_for_one_data_set_is_named(tmp_path):
    text = GRID.replace("[digits]", "[digits, mine]") + "methods: {dm: {distillation: {dsa_strategy: none}}}\n"
    text += "data: {mine: {format: npz, path: x}}"
    (line,) = unreached_values(load(tmp_path, text))
    assert "is not used for digits: data set digits sets the key" in line


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_the_configurations_that_come_with_the_project_give_none(path):
    assert unreached_values(load_config(path)) == ()


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("methods: {dm: {distillation: {dsa_strategy: nonsense}}}", "unknown DSA operation 'nonsense'"),
        ("methods: {bacon: {distillation: {lr_img: x}}}", "methods.bacon.distillation.lr_img"),
        ("datasets: {mnist: {evaluation: {epochs: -3}}}", "datasets.mnist.evaluation.epochs"),
        ("datasets: {mnist: {network: {stem: 7x7}}}", "convnet has no such setting"),
        ("cells: [{dataset: mnist, ipc: 9, evaluation: {labels: x}}]", "cells[0].evaluation.labels"),
        ("variants: {v: {method: dm, evaluation: {seeds: 0}}}", "variants.v.evaluation.seeds"),
        ("networks: {unused: {depth: 99}}", "networks.unused.depth"),
        ("datasets: {mnist: {evaluation: {idc_strategy: flip_zoom}}}", "unknown IDC operation 'zoom'"),
        ("datasets: {mnist: {evaluation: {dc_strategy: flip}}}", "unknown DC operation 'flip'"),
        ("data: {unused: {format: npz}}", "data.unused"),
        (
            "methods: {dm: {evaluation: {epochs: x}}}\noverrides: {digits/*: {evaluation: {epochs: 4}}}",
            "methods.dm.evaluation.epochs = 'x'",
        ),
        ("overrides: {digts/dm: {}}", "did you mean 'digits/dm'?"),
        ("overrides: {digits/idmm/*: {}}", "did you mean 'digits/idm/*'?"),
        ("overrides: {digits/dm/ipc2/*: {}}", "did you mean 'digits/dm/ipc1/*'?"),
        ("grid: {exclude: [digits/idmm]}", "matches no cell"),
    ],
)
def test_a_mistake_is_found_in_every_layer_also_where_no_cell_takes_it(tmp_path, text, fragment):
    given = text if text.startswith("grid") else GRID + text
    assert fragment in refusal(tmp_path, given)[0]
