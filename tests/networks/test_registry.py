"""The registry: names, errors, lazy modules, and a new architecture by its file and a record."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from bacon.config.presets import NETWORKS
from bacon.networks.build import build_network
from bacon.networks.registry import architecture_module, forward_operations
from bacon.plan.code_digest import import_closure
from bacon.plan.modules import module_path
from bacon.settings.architectures import ARCHITECTURES, Architecture
from bacon.settings.network import NetworkSettings

CPU = torch.device("cpu")
TOY = """
from torch import nn
from bacon.networks.network import Network

def build(settings, *, channels, size, classes, device=None, dtype=None):
    features = nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, 5, device=device, dtype=dtype))
    return Network(features, embedding_size=5, classes=classes, device=device, dtype=dtype)
"""


def test_an_unknown_architecture_is_answered_with_the_nearest_and_all():
    with pytest.raises(
        ValidationError, match=r"(?s)unknown architecture; did you mean 'resnet50'\?.*allowed: convnet, mlp"
    ):
        NetworkSettings(architecture="resnet5")
    with pytest.raises(ValidationError, match=r"unknown architecture \(allowed"):
        NetworkSettings(architecture="zzz")


def test_the_schema_lists_the_names():
    assert NetworkSettings.model_json_schema()["properties"]["architecture"]["enum"] == list(ARCHITECTURES)


@pytest.mark.parametrize("record", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_every_record_is_whole(record):
    settings = NetworkSettings(architecture=record.name)
    assert architecture_module(settings) == record.module
    assert module_path(record.module) is not None
    assert settings.norm == record.norms[0]
    assert set(record.pool) <= NETWORKS.keys()
    assert record.pool or record.name == "convnet"
    for pooled in record.pool.values():
        assert NetworkSettings(**pooled).architecture == record.name
    assert (record.smallest == 1) == (not record.why_smallest)
    assert forward_operations(settings, 3, 32).total > 1e5


def test_a_network_of_one_architecture_loads_no_other():
    script = """
import sys, torch
from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings
build_network(NetworkSettings(), channels=3, size=32, classes=10, seed=0, device=torch.device("cpu"))
loaded = {name for name in sys.modules if name.startswith(("bacon.networks.", "torchvision"))}
others = {"bacon.networks.mlp", "bacon.networks.resnet", "bacon.networks.vit", "torchvision"}
assert "bacon.networks.convnet" in loaded and not loaded & others, loaded
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_no_architecture_is_in_the_code_of_another_or_of_the_builder():
    modules = {record.module for record in ARCHITECTURES.values()}
    assert not modules & import_closure(("bacon.networks.build",))
    for module in modules:
        assert modules & import_closure((module,)) == {module}


def test_the_registry_needs_no_torch():
    script = "import sys, bacon.networks.registry, bacon.config.presets; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_new_architecture_is_a_file_and_a_record(tmp_path, monkeypatch):
    (tmp_path / "toy_network.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    toy = Architecture(name="toy", title="Toy", builder="toy_network:build", norms=("none",), operations={32: 3e4})
    monkeypatch.setitem(ARCHITECTURES, "toy", toy)
    settings = NetworkSettings(architecture="toy")
    assert settings.model_dump() == {"architecture": "toy", "norm": "none", "precision": "tf32"}
    first, again = (build_network(settings, channels=1, size=8, classes=3, seed=1, device=CPU) for _ in range(2))
    assert torch.equal(first.features[1].weight, again.features[1].weight)
    assert first(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    assert forward_operations(settings, 3, 64).total == 4 * 3e4
    assert architecture_module(settings) == "toy_network"
