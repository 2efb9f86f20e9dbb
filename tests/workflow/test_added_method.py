"""A method is one folder: the example of docs/add-a-method.md goes to the report with nothing else touched."""

import csv
import re

import pytest

from bacon.artifacts.distilled_file import read_distilled
from tests.methods import example
from tests.workflow.conftest import ROOT, TINY

pytestmark = pytest.mark.workflow


def test_an_installed_method_goes_from_the_configuration_to_the_report(project, tmp_path):
    base = TINY | {"grid": TINY["grid"] | {"methods": ["random"]}}
    project.configure(base)
    project.snakemake()
    unknown = TINY | {"grid": TINY["grid"] | {"methods": ["random", "standardised"]}}
    project.configure(unknown)
    refused = project.snakemake(check=False)
    assert refused.returncode != 0
    assert "grid.methods = 'standardised' is unknown" in refused.output

    package = tmp_path / "package"
    package.mkdir()
    project.installed = example.install(package, copy=True)
    run = project.snakemake()
    # What was there stays: another method makes no other cell stale.
    assert {rule: run.jobs[rule] for rule in ("distill", "evaluate")} == {"distill": 1, "evaluate": 1}

    distilled = read_distilled(project.path("results/distilled/digits/standardised/ipc1/seed0.h5"))
    assert list(distilled.history) == ["loss", "standardised"]
    assert list(distilled.snapshots) == [0, 2, 4]
    with project.path("results/tables/accuracy.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method_title"] for row in rows} == {"Full data set", "Random", "Standardised"}
    report = project.path("results/report.html").read_text()
    assert re.search(r"digits/standardised/ipc1/seed0", report)
    assert "distillation.epsilon" in report
    assert project.snakemake("-n").jobs == {}

    algorithm = package / "standardised" / "algorithm.py"
    text = algorithm.read_text()
    algorithm.write_text(text.replace("scaled.square().sum(dim=1)", "scaled.abs().sum(dim=1)"))
    stale = project.snakemake("-n").jobs
    assert (stale["distill"], stale["evaluate"]) == (1, 1), "its code is part of its cells' fingerprints"
    record = package / "standardised" / "record.py"
    algorithm.write_text(text)
    record.write_text(record.read_text().replace('title="Standardised"', 'title="Std"').replace("Matches mean", "Mean"))
    assert "distill" not in project.snakemake("-n").jobs, "what a record says of its method is no result"


def test_the_page_is_the_example():
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    for name in ("standardised/record.py", "standardised/algorithm.py", "pyproject.toml"):
        assert (example.FOLDER / name).read_text() in blocks, f"docs/add-a-method.md does not show {name} as it is"
