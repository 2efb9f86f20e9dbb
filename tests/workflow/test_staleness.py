"""What is run again after a change, through the real Snakemake."""

import copy as copying
import json
import os
import shutil

import h5py
import pytest

from tests.workflow.conftest import ROOT, TINY, Project

pytestmark = pytest.mark.workflow

NOTHING = {}
AGGREGATES = {"all": 1, "tables": 1, "figures": 1}


def changed(**changes):
    """The tiny configuration with top-level keys replaced or merged."""
    config = copying.deepcopy(TINY)
    for key, value in changes.items():
        config[key] = config[key] | value if isinstance(value, dict) and key in config else value
    return config


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        ({}, NOTHING),
        ({"run": {"progress_seconds": 3}}, NOTHING),
        # The value that is already the default.
        ({"methods": {"bacon": {"distillation": {"objective": {"lambda": 0.8}}}}}, NOTHING),
        (
            {"overrides": {"digits/bacon/ipc1/seed0": {"distillation": {"networks": {"ce_weight": 0.1}}}}},
            AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1},
        ),
        (
            {"methods": {"bacon": {"distillation": {"objective": {"lambda": 0.5}}}}},
            AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1},
        ),
        ({"overrides": {"digits/dm": {"evaluation": {"epochs": 2}}}}, AGGREGATES | {"evaluate": 1}),
        ({"overrides": {"digits/full": {"evaluation": {"epochs": 2}}}}, AGGREGATES | {"evaluate_full": 1}),
        ({"overrides": {"digits/dm": {"evaluation": {"seeds": 3}}}}, AGGREGATES | {"evaluate": 1}),
        ({"grid": {"seeds": 2}}, AGGREGATES | {"distill": 4, "evaluate": 4}),
        ({"grid": {"ipc": [1, 2]}}, AGGREGATES | {"distill": 4, "evaluate": 4, "images": 4}),
        ({"grid": {"methods": ["random", "dm", "idm"]}}, AGGREGATES),
        (
            {"data": {"digits": {"mean": [0.5], "std": [0.5]}}},
            AGGREGATES | {"preprocess": 1, "distill": 4, "evaluate": 4, "evaluate_full": 1, "images": 4},
        ),
    ],
)
def test_a_change_of_the_configuration_reruns_what_it_must(copy, changes, jobs):
    copy.configure(changed(**changes))
    assert copy.snakemake("-n").jobs == jobs


def test_order_of_keys_comments_and_touching_files_rerun_nothing(copy):
    path = copy.path("config/config.yaml")
    lines = json.dumps(dict(reversed(TINY.items())), indent=1)  # JSON is YAML
    path.write_text(f"# A comment.\n{lines}\n")
    for file in copy.path("results").rglob("*"):
        os.utime(file)
    assert copy.snakemake("-n").jobs == NOTHING


@pytest.fixture
def checkout(copy, tmp_path):
    """A copy of the sources, so that a test can edit them."""
    root = tmp_path / "checkout"
    for folder in ("bacon", "workflow", "resources"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "environment.yml", root)
    return Project(copy.folder, root / "workflow" / "Snakefile")


def edit(project, file, old, new):
    path = project.snakefile.parents[1] / file
    text = path.read_text()
    assert old in text, f"{file} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


ALL_DISTILLED = {"distill": 4, "evaluate": 4, "images": 4}


@pytest.mark.parametrize(
    ("file", "old", "new", "jobs"),
    [
        (None, "", "", NOTHING),  # another checkout of the same sources
        ("bacon/distillation/engine.py", "iteration = self.state.iteration", "iteration = 0 + self.state.iteration",
         AGGREGATES | ALL_DISTILLED),
        ("bacon/distillation/engine.py", '"""The distillation loop', '"""The loop', NOTHING),
        ("bacon/methods/bacon.py", "0.5 * difference.abs()", "0.25 * difference.abs()",
         AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}),
        ("bacon/evaluation/training.py", "import torch\n", "import torch\n\nEDITED = True\n",
         AGGREGATES | {"evaluate": 4, "evaluate_full": 1}),
        ("bacon/reporting/make_tables.py", "kinds = (", "edited, kinds = True, (", {"all": 1, "tables": 1}),
        ("bacon/reporting/figures/style.py", "\nimport hashlib", "\nEDITED = True\nimport hashlib",
         {"all": 1, "figures": 1, "images": 4}),
        ("bacon/runtime/logs.py", "import sys", "import sys\n\nEDITED = True", NOTHING),
        ("workflow/scripts/distill.py", "def main", "EDITED = True\n\n\ndef main", NOTHING),
    ],
)  # fmt: skip
def test_a_change_of_the_code_reruns_what_it_must(checkout, file, old, new, jobs):
    if file is not None:
        edit(checkout, file, old, new)
    assert checkout.snakemake("-n").jobs == jobs


def test_one_cell_is_recomputed_and_one_more_evaluation_seed_computes_that_seed_alone(copy):
    override = {
        "digits/bacon/ipc1/seed0": {"distillation": {"networks": {"ce_weight": 0.1}}},
        "digits/dm": {"evaluation": {"seeds": 3}},
    }
    copy.configure(changed(overrides=override))
    before = {
        name: copy.path(f"results/distilled/digits/{name}/ipc1/seed0.h5").stat().st_mtime_ns
        for name in ("idm", "bacon")
    }
    run = copy.snakemake()
    assert run.jobs == AGGREGATES | {"distill": 1, "evaluate": 2, "images": 1}
    after = {
        name: copy.path(f"results/distilled/digits/{name}/ipc1/seed0.h5").stat().st_mtime_ns
        for name in ("idm", "bacon")
    }
    assert after["idm"] == before["idm"]
    assert after["bacon"] > before["bacon"]
    log = copy.path("results/logs/evaluate/digits/dm/ipc1/seed0/convnet.log").read_text()
    assert "5 networks, 4 of them trained before" in log
    assert copy.snakemake().jobs == NOTHING


def test_a_failed_rerun_never_leaves_old_numbers_in_a_table(copy):
    """Snakemake records new params for a failed job (issue 1978); the tables must not be taken for current."""
    table = copy.path("results/tables/accuracy.csv")
    # lr_img so large that the loss is not finite: the distillation stops with an error.
    copy.configure(changed(overrides={"digits/bacon": {"distillation": {"lr_img": 1e30}}}))
    failed = copy.snakemake(check=False)
    assert failed.returncode != 0
    assert "the loss is not finite" in failed.output
    again = copy.snakemake("-n")
    assert again.jobs.get("distill") == 1
    assert again.jobs.get("tables") == 1
    copy.configure(TINY)
    assert copy.snakemake().returncode == 0
    assert table.exists()
    assert copy.snakemake("-n").jobs == NOTHING


def test_the_aggregator_refuses_an_artifact_of_another_fingerprint(copy):
    path = copy.path("results/distilled/digits/idm/ipc1/seed0.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["fingerprint"] = "0" * 32
    run = copy.snakemake("--forcerun", "tables", "--rerun-triggers", "params", check=False)
    assert run.returncode != 0
    assert "seed0.h5" in run.output
    assert "fingerprint" in run.output
    records = copy.path("results/evaluation/digits/dm/ipc1/seed0/convnet.json")
    content = json.loads(records.read_text())
    records.write_text(json.dumps(content | {"fingerprint": "1" * 32}))
    run = copy.snakemake("--forcerun", "figures", "--rerun-triggers", "params", check=False)
    assert run.returncode != 0
    assert "convnet.json" in run.output


def test_code_that_changes_while_the_workflow_runs_is_noticed(checkout):
    """A job whose code is no longer the code that was planned refuses to run."""
    edit(
        checkout,
        "workflow/rules/distill.smk",
        "'exec ",
        "'echo EDITED=1 >>$SCRIPTS/../../bacon/distillation/real.py; exec ",
    )
    run = checkout.snakemake("--forcerun", "distill", "--until", "distill", check=False)
    assert run.returncode != 0
    assert "changed while the workflow ran" in run.output
