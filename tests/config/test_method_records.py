"""What the records of methods say reaches the settings of cells, each in its layer."""

import json
from pathlib import Path

import pytest

from bacon.config.layering import resolve
from bacon.config.layers import layers
from bacon.config.loading import check_config, load_config
from bacon.methods.registry import METHODS
from bacon.settings.cells import Cell

ROOT = Path(__file__).parents[2]
CELL = Cell("cifar10", "bacon", 1, 0)


def config(preset="paper", **keys):
    grid = {"datasets": ["cifar10"], "methods": ["random", "dm", "idm", "bacon"], "ipc": [1, 7], "seeds": 1}
    return check_config({"preset": preset, "grid": grid} | keys)


def distillation(chosen, cell=CELL):
    return resolve(chosen, cell).settings.distillation


def test_published_settings_are_part_of_the_preset_paper():
    resolved = resolve(config(), CELL)
    assert resolved.settings.distillation.batch_real == 5000
    assert resolved.settings.distillation.networks.net_generate_interval == 5
    assert resolved.origin["distillation", "batch_real"] == "published bacon, cifar10, IPC 1"
    for other in (resolve(config("fast"), CELL), resolve(config(), Cell("cifar10", "bacon", 7, 0))):
        assert "published" not in " ".join(other.origin.values())
    assert distillation(config(), Cell("cifar10", "dm", 1, 0)).batch_real == 256, "DM's authors published no such table"


@pytest.mark.parametrize(
    "keys",
    [
        {"methods": {"bacon": {"distillation": {"batch_real": 300}}}},
        {"datasets": {"cifar10": {"distillation": {"batch_real": 300}}}},
        {"cells": [{"dataset": "cifar10", "ipc": 1, "distillation": {"batch_real": 300}}]},
        {"overrides": {"cifar10/bacon/ipc1": {"distillation": {"batch_real": 300}}}},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_every_key_of_a_file_wins_over_what_is_published(keys):
    chosen = distillation(config(**keys))
    assert (chosen.batch_real, chosen.networks.net_generate_interval) == (300, 5)


def test_a_variant_has_what_is_published_for_its_method():
    grid = {"datasets": ["cifar10"], "methods": ["mild"], "ipc": [1], "seeds": 1}
    chosen = config(grid=grid, variants={"mild": {"method": "bacon", "distillation": {"objective": {"lambda": 0.1}}}})
    assert distillation(chosen, Cell("cifar10", "mild", 1, 0)).batch_real == 5000


@pytest.mark.parametrize("preset", ["demo", "smoke", "fast"])
@pytest.mark.parametrize("method", ["dm", "idm", "bacon"])
def test_a_preset_scales_a_method_by_its_own_record(preset, method):
    chosen = distillation(config(preset), Cell("cifar10", method, 1, 0))
    scale = METHODS[method].scales.get(preset)
    expected = 20_000 if scale is None else scale["distillation"]["iterations"]
    assert chosen.iterations == expected


def test_scaling_one_method_scales_no_other(monkeypatch):
    changed = {"smoke": {"distillation": {"iterations": 3}}}
    before = {name: distillation(config("smoke"), Cell("cifar10", name, 1, 0)) for name in ("dm", "idm", "bacon")}
    monkeypatch.setitem(METHODS["dm"].__dict__, "scales", changed)
    after = {name: distillation(config("smoke"), Cell("cifar10", name, 1, 0)) for name in before}
    assert after["dm"].iterations == 3
    assert {name for name in before if before[name] != after[name]} == {"dm"}


def test_the_papers_file_names_data_sets_methods_and_ipc():
    paper = load_config(ROOT / "config" / "paper.yaml")
    assert paper.model_fields_set == {"preset", "grid", "run"}
    for method, steps in (("idm", 10), ("bacon", 50)):
        cell = Cell("cifar100", method, 50, 0)
        labels = [layer.label for layer in layers(paper, cell)]
        published = f"published {method}, cifar100, IPC 50"
        assert labels == ["protocol paper", f"method {method}", published, "data set cifar100"]
        assert json.loads(distillation(paper, cell).model_dump_json())["networks"]["model_train_steps"] == steps
