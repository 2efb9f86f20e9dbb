"""The documentation is true where a machine can tell: its example runs, its links and paths lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch

from bacon.methods.base import RealStatistics

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


@pytest.fixture(scope="module")
def example():
    """The module that docs/add-a-method.md tells the reader to write."""
    import sys
    import types

    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "add-a-method.md").read_text(), re.DOTALL).group(1)
    # A real module: pydantic looks up annotations in it.
    module = types.ModuleType("bacon_docs_example")
    sys.modules[module.__name__] = module
    exec(compile(code, "docs/add-a-method.md", "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


def test_the_example_method_computes_its_formula(example):
    generator = torch.Generator().manual_seed(0)
    mean, std, synthetic = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64).unbind()
    std = std.abs()
    std[0] = 0  # a class whose real batch is constant
    synthetic.requires_grad_()
    objective = example.StandardisedMatching(epsilon=0.25)
    terms = objective.terms(RealStatistics(mean=mean, std=std), synthetic)["standardised"]
    for c in range(4):
        expected = sum(((synthetic[c, d] - mean[c, d]) / (std[c, d] + 0.25)) ** 2 for d in range(5))
        torch.testing.assert_close(terms[c], expected, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(terms.sum(), synthetic)
    assert gradient.isfinite().all()
    assert objective.weights().keys() == {"standardised"}


def test_the_example_method_has_settings_that_the_engine_knows(example):
    from bacon.settings.distillation import MatchingSettings

    layer = dict(example.STANDARDISED.settings["distillation"])
    layer["objective"] = {"kind": "mean"}  # its own kind is in no registry here
    assert MatchingSettings.model_validate(layer).networks.source == "fresh"


def test_the_registry_lines_of_the_example_apply_to_the_registry():
    """The lines that the page says to replace are the ones in the registry."""
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    registry = (ROOT / "bacon" / "methods" / "registry.py").read_text().splitlines()
    removed = re.findall(r"^-(.+)$", re.search(r"```diff\n(.*?)```", page, re.DOTALL).group(1), re.MULTILINE)
    assert len(removed) == 2
    for line in removed:
        assert line in registry


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, heading = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), f"{page} links to {target}, which is not there"
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert heading in {slug(text) for text in headings}, f"{page} links to {target}: no such heading"


def slug(heading: str) -> str:
    """The anchor of a heading, as repositories' web pages make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    """Paths in backquotes into the source tree are real, but for the example's file and what the workflow makes."""
    to_write = {"bacon/methods/standardised.py", "resources/downloads"}
    pattern = r"`((?:bacon|workflow|config|docs|tests|resources|scripts|benchmarks)/[\w./-]+)`"
    for name in set(re.findall(pattern, (ROOT / page).read_text())) - to_write:
        assert (ROOT / name).exists(), f"{page} names {name}, which is not there"


def test_documented_settings_exist():
    """Every setting that docs/algorithms.md puts beside a published flag is a key of the models."""
    import bacon.methods.registry  # noqa: F401 - defines every method's settings
    from bacon.config.model import GridSettings
    from bacon.settings.distillation import MatchingSettings
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.pools import NetworkQueue

    models = {
        "grid": GridSettings,
        "evaluation": EvaluationSettings,
        "distillation": MatchingSettings,
        "distillation.networks": NetworkQueue,
    }
    text = (ROOT / "docs" / "algorithms.md").read_text()
    names = re.findall(r"`((?:grid|evaluation|distillation)\.[\w.]+)(?::[^`]*)?`", text)
    assert len(names) > 20
    for name in names:
        section, _, key = name.rpartition(".")
        # Methods may add keys to the sections that they share.
        keys = {key for model in (models[section], *models[section].__subclasses__()) for key in model.model_fields}
        assert key in keys, f"docs/algorithms.md names {name}, which is no setting"


def commands(program: str) -> list[str]:
    """Command lines that the documentation gives for a program: at the start of a line of code, or in backquotes."""
    found = []
    configurations = sorted(f"config/{path.name}" for path in (ROOT / "config").glob("*.yaml"))
    for page in (*PAGES, "config/README.md", *configurations):
        text = (ROOT / page).read_text()
        found += re.findall(rf"^(?:# +)?({program} [^#\n]+)", text, re.MULTILINE)
        found += re.findall(rf"`({program} [^`\n]+)`", text)
    return [command.strip() for command in found]


def test_documented_snakemake_commands_are_understood():
    """Snakemake's own parser takes them; `--resources gpu=2 all`, for example, would make `all` a resource."""
    from snakemake.cli import parse_args

    found = commands("snakemake")
    assert len(found) > 5
    for command in found:
        parse_args(shlex.split(command)[1:])


def test_documented_bacon_commands_exist():
    from bacon.cli import main

    found = commands("bacon")
    assert len(found) > 2
    for command in found:
        words = shlex.split(command)
        assert words[1] in main.commands, command
        known = {name for option in main.commands[words[1]].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


def test_documented_make_targets_exist():
    found = {target for command in commands("make") for target in re.findall(r"^make ([a-z]+)", command)}
    assert {"demo", "test"} <= found
    for target in found:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_no_place_is_left_to_fill():
    for page in PAGES:
        assert "FILL" not in (ROOT / page).read_text(), f"{page}: measured values are missing"
