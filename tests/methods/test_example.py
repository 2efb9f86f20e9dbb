"""The example of docs/add-a-method.md computes its formula, and is found as an installed package brings it."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch

from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import RealStatistics
from bacon.methods.registry import GROUP, METHODS, OWN, registered
from bacon.runtime.errors import BaconError
from tests.methods import example

RECORD = example.record()


def entry(value="standardised.record:STANDARDISED", name="standardised"):
    return EntryPoint(name=name, value=value, group=GROUP)


def test_the_loss_is_its_formula():
    from standardised.algorithm import StandardisedMatching

    generator = torch.Generator().manual_seed(0)
    mean, std, synthetic = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64).unbind()
    std = std.abs()
    std[0] = 0  # a class whose real batch is constant
    synthetic.requires_grad_()
    loss = StandardisedMatching(epsilon=0.25)
    terms = loss.terms(RealStatistics(mean=mean, std=std), Features(embedding=synthetic[:, None]))["standardised"]
    for c in range(4):
        expected = sum(((synthetic[c, d] - mean[c, d]) / (std[c, d] + 0.25)) ** 2 for d in range(5))
        torch.testing.assert_close(terms[c], expected, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(terms.sum(), synthetic)
    assert gradient.isfinite().all()
    assert loss.weights().keys() == {"standardised"}


def test_methods_of_packages_come_after_our_own():
    found = registered(OWN, [entry()])
    assert list(found) == [*(method.name for method in OWN), "standardised"]
    assert found["standardised"] is RECORD
    assert list(METHODS)[: len(OWN)] == [method.name for method in OWN]


def test_a_line_of_the_registry_is_all_that_a_folder_needs():
    assert list(registered((*OWN, RECORD), []))[-1] == "standardised"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(value="nowhere:X")], r"entry point standardised = nowhere:X.*cannot be loaded.*repair or uninstall"),
        ([entry(value="standardised.record:NOTHING")], "cannot be loaded"),
        ([entry(value="standardised.record:work")], "is function, not a record"),
        ([entry(), entry(name="twice")], "a method 'standardised' already exists"),
        ([entry(value="bacon.methods.dm.record:DM", name="dm")], "a method 'dm' already exists"),
    ],
)
def test_an_entry_point_that_brings_no_method_is_named(entries, message):
    with pytest.raises(BaconError, match=message):
        registered(OWN, entries)


def test_an_installed_method_is_known_to_a_new_process(tmp_path):
    path = example.install(tmp_path)
    code = f"import sys; sys.path[:0] = {path!r}; from bacon.methods.registry import METHODS; print(*METHODS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "standardised"
