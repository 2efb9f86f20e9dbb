"""What is wrong with a value, in the words of YAML: one true line for each mistake, and none that is false."""

import pytest

from bacon.config.model import Config
from tests.config.texts import load, refusal

LAYER = "datasets: {{digits: {{evaluation: {{{0}}}}}}}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("grid: {ipc: [0]}", "grid.ipc.0 = 0: must be greater than or equal to 1"),
        ("grid: {ipc: [ten]}", "grid.ipc.0 = 'ten': must be a whole number"),
        ("grid: {ipc: [1.5]}", "grid.ipc.0 = 1.5: must be a whole number"),
        ("grid: {ipc: [true]}", "grid.ipc.0 = true: must be a number"),
        ("grid: {ipc: [null]}", "grid.ipc.0 = null: is empty; it must be a whole number, or leave the key out"),
        ("grid: {ipc: 10}", "grid.ipc = 10: must be a list, such as [10]"),
        ("grid: {ipc: {a: 1}}", "grid.ipc: must be a list"),
        ("grid: {ipc: []}", "grid.ipc = []: must hold at least one value"),
        ("grid: {datasets: digits}", "grid.datasets = 'digits': must be a list, such as [digits]"),
        ("grid: {datasets: [7]}", "grid.datasets.0 = 7: must be text; put it in quotes: '7'"),
        ("grid: {datasets: [[digits]]}", "grid.datasets.0 = ['digits']: must be text"),
        ("grid: {seeds: many}", "grid.seeds = 'many': must be a whole number or a list"),
        ("grid: {seeds: 2.5}", "grid.seeds = 2.5: must be a whole number or a list"),
        ("grid: {seeds: true}", "grid.seeds = true: must be a number"),
        ("grid: {seeds: [1, -1]}", "grid.seeds.1 = -1: must be greater than or equal to 0"),
        ("grid: {seeds: [x]}", "grid.seeds.0 = 'x': must be a whole number"),
        ("grid: {seeds: []}", "grid.seeds = []: at least one distillation seed is needed"),
        ("grid: {seeds: }", "grid.seeds = null: is empty; it must be a whole number or a list, or leave the key out"),
        ("grid: 3", "grid = 3: must hold keys: datasets, downstream, exclude, ipc, methods, networks, protocols, relabelled, "
         "seeds"),
        ("preset:", "preset = null: is empty; it must be text, or leave the key out"),
        ("preset: [smoke]", "preset = ['smoke']: must be text"),
        ("data: x.npz", "data = 'x.npz': must hold names of data sets as keys"),
        ("overrides: [a]", "overrides = ['a']: must hold patterns of cells as keys, such as digits/bacon/*"),
        ("data: {digits: {zca: maybe}}", "data.digits.zca = 'maybe': must be true or false"),
        ("data: {digits: {size: big}}", "data.digits.size = 'big': must be a whole number"),
        ("data: {digits: {channels: 2, format: npz, path: x}}", "data.digits.channels = 2: must be 1 or 3"),
        ("data: {mine: {format: imagefoldr, path: x}}", "data.mine.format = 'imagefoldr': must be registry, npz, imagefolder "
         "or hdf5; did you mean 'imagefolder'?"),
        ("data: {digits: {title: 12}}", "data.digits.title = 12: must be text; put it in quotes: '12'"),
        ("cells: {dataset: digits}", "cells: must be a list"),
        ("cells: [3]", "cells.0 = 3: must hold keys: dataset, distillation, evaluation, ipc, methods, network, preprocessing"),
        ("cells: [{dataset: digits}]", "cells.0.ipc: is required"),
        ("variants: {v: {}}", "variants.v.method: is required"),
        ("run: {device: cud}", "run.device = 'cud': must be auto, cpu or cuda; did you mean 'cuda'?"),
        ("datasets: {digits: resnet18}", "datasets.digits = 'resnet18': must hold keys: distillation, evaluation, network, "
         "preprocessing"),
        ("datasets: {digits: {network: resnet18}}", "datasets.digits.network = 'resnet18': must hold keys: activation, "
         "architecture, depth, norm, pooling, precision, stem, width"),
        ("methods: {bacon: {distillation: {networks: {source: qeue}}}}", "methods.bacon.distillation.networks.source = 'qeue': "
         "must be fresh or queue; did you mean 'queue'?"),
        ("methods: {dm: {distillation: {lr_img: .inf}}}", "methods.dm.distillation.lr_img = inf: must be a finite number"),
        ("methods: {dm: {distillation: {lr_img: true}}}", "methods.dm.distillation.lr_img = true: must be a number"),
        (LAYER.format("ema: no"), "datasets.digits.evaluation.ema = 'no': must be a number"),
        (LAYER.format("loss: ce"), "datasets.digits.evaluation.loss = 'ce': must be a list, such as [ce]"),
        (LAYER.format("loss: [{kind: kl, weight: big}]"), "datasets.digits.evaluation.loss.0.weight = 'big': must be a number"),
        (LAYER.format("resized_crop_scale: [0.1]"), "datasets.digits.evaluation.resized_crop_scale = [0.1]: holds one value; "
         "it needs 2"),
        (LAYER.format("resized_crop_scale: [0.1, 0.2, 0.3]"), "datasets.digits.evaluation.resized_crop_scale = [0.1, 0.2, "
         "0.3]: must hold at most 2 values"),
        (LAYER.format("loss: [{kind: ce, wieght: 1}]"), "datasets.digits.evaluation.loss.0.wieght = 1: unknown key; did "
         "you mean 'weight'? (allowed: kind, over_classes, scaled, temperature, weight)"),
        ("networks: {wide: 256}", "networks.wide = 256: must hold keys: activation, architecture, depth, norm, pooling, "
         "precision, stem, width"),
        ("networks: {wide: {depth: 99}}", "networks.wide.depth = 99: must be less than or equal to 6"),
        ("data: {digits: {mean: [], std: [0.5]}}", "data.digits.mean = []: must hold at least one value"),
        ("data: {digits: {path: x}}", "data.digits: `path` is of your own data: set `format` as well, to "
         "imagefolder (a folder of class folders), npz or hdf5"),
        ("data: {digits: {format: npz}}", "data.digits: the format npz needs `path`: where your own data is"),
        ("grid: {seeds: 100000}", "grid.seeds = 100000: at most 10000 distillation seeds; for one seed of that number write a "
         "list of it"),
        ("methods: {dm: {distillation: {iterations: 1000000000}}}", "cell digits/dm/ipc1/seed0: distillation: `iterations` "
         "1000000000 with `snapshot_interval` 2000 keeps 500000 snapshots; 10000 are allowed: raise `snapshot_interval`, or "
         "set it to 0 for the end alone (`iterations` is set by methods.dm)"),
        ("stale_on_upgrade: torch", "stale_on_upgrade = 'torch': must be a list, such as [torch]"),
    ],
)  # fmt: skip
def test_a_mistake_has_one_line(tmp_path, text, line):
    assert refusal(tmp_path, text) == [f"my.yaml: {line}"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("ipc: [1]", "grid.ipc"),
        ("seeds: 3", "grid.seeds"),
        ("threads: 3", "run.threads"),
        ("iterations: 100", "methods.NAME.distillation.iterations"),
        ("epochs: 100", "methods.NAME.evaluation.epochs"),
        ("metods: {}", "methods"),
        ("grid: {dataset: [digits]}", "datasets"),
    ],
)
def test_an_unknown_key_says_where_it_may_belong(tmp_path, text, where):
    (line,) = refusal(tmp_path, text)
    assert f"did you mean '{where}'?" in line


def test_every_mistake_has_its_own_line(tmp_path):
    text = "grid: {ipc: [0, x], seeds: 1.5}\nrun: {threads: 0}\npreset: 3"
    assert [line.split(":")[1].split("=")[0].strip() for line in refusal(tmp_path, text)] == [
        "preset", "grid.ipc.0", "grid.ipc.1", "grid.seeds", "run.threads",
    ]  # fmt: skip
    text = "methods:\n  dm: {distillation: {lr_img: -1}, evaluation: {epochs: few}}\n  idm: {network: {depth: 9}}\n"
    assert len(refusal(tmp_path, text)) == 3


def test_keys_that_do_not_go_together_say_which_layer_set_them(tmp_path):
    text = "methods: {dm: {evaluation: {lr: learned}}}\ndatasets: {digits: {evaluation: {lr_search: [0.1]}}}"
    (line,) = refusal(tmp_path, text)
    assert "`lr` is set by methods.dm" in line
    assert "`lr_search` is set by datasets.digits" in line


EMPTY = ("cells:", *(f"{key}:" for key, holds in Config().model_dump().items() if isinstance(holds, dict)))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(EMPTY),
        "methods:\n  dm:\n",
        "methods:\n  dm:\n    distillation:\n",
        "methods:\n  bacon:\n    distillation:\n      networks:\n      objective:\n",
        "data:\n  digits:\n",
        "networks:\n  wide:\n",
        "protocols:\n  mine:\n",
        "protocols:\n  mine:\n    evaluation:\n",
        "downstream:\n  robustness:\n",
        "cells:\n  - dataset: digits\n    ipc: 1\n    distillation:\n",
    ],
)
def test_an_empty_section_is_as_if_it_were_not_there(tmp_path, text):
    config = load(tmp_path, text)
    assert config.grid == load(tmp_path, "preset: paper").grid
    assert all(not layer.distillation for layer in (*config.methods.values(), *config.cells))
