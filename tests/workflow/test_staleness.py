"""What is run again after a change, through the real Snakemake."""

import copy as copying
import json
import os
import shutil
import subprocess
import sys

import h5py
import pytest

from tests.workflow.conftest import ROOT, TINY, Project
from tests.workflow.staleness_edits import (
    AGGREGATES,
    CODE_EDITS,
    FILE_EDITS,
    NOTHING,
    SETTINGS_EDITS,
    SOURCE_EDITS,
    page_with_table,
)

pytestmark = pytest.mark.workflow


def changed(**changes):
    """The tiny configuration with top-level keys replaced or merged."""
    config = copying.deepcopy(TINY)
    for key, value in changes.items():
        config[key] = config[key] | value if isinstance(value, dict) and key in config else value
    return config


@pytest.mark.parametrize(("changes", "jobs"), [edit[1:] for edit in SETTINGS_EDITS], ids=[e[0] for e in SETTINGS_EDITS])
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
        # With what is compiled, but for what another process is compiling just now.
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(ROOT / "environment.yml", root)
    return Project(copy.folder, root / "workflow" / "Snakefile")


def edit(project, file, old, new):
    path = project.snakefile.parents[1] / file
    if not old:
        path.parent.mkdir()
        path.write_text(new)
        return
    text = path.read_text()
    assert old in text, f"{file} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(("file", "old", "new", "jobs"), [e[1:] for e in CODE_EDITS], ids=[e[0] for e in CODE_EDITS])
def test_a_change_of_the_code_reruns_what_it_must(checkout, file, old, new, jobs):
    if file is not None:
        edit(checkout, file, old, new)
    assert checkout.snakemake("-n").jobs == jobs


@pytest.mark.parametrize(("change", "jobs"), [e[1:] for e in SOURCE_EDITS], ids=[e[0] for e in SOURCE_EDITS])
def test_a_change_of_several_files_reruns_what_it_must(checkout, change, jobs):
    change(checkout.snakefile.parents[1])
    assert checkout.snakemake("-n").jobs == jobs


@pytest.mark.parametrize(("how", "changes", "jobs"), [e[1:] for e in FILE_EDITS], ids=[e[0] for e in FILE_EDITS])
def test_what_is_right_by_content_is_not_made_again(copy, how, changes, jobs):
    how(copy.folder)
    copy.configure(changed(**changes))
    assert copy.snakemake("-n").jobs == jobs
    if jobs == NOTHING:
        run = copy.snakemake()
        assert run.jobs == NOTHING
        assert "Nothing to be done" in run.output


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
    assert "5 networks, 4 of them already trained" in log
    assert copy.snakemake().jobs == NOTHING


def test_a_failed_rerun_never_leaves_old_numbers_in_a_table(copy):
    """Snakemake records new params for a failed job (issue 1978); the tables must not be taken for current."""
    table = copy.path("results/tables/accuracy.csv")
    # A weight so large that the loss is not finite: the distillation stops with an error.
    copy.configure(changed(overrides={"digits/bacon": {"distillation": {"networks": {"ce_weight": 1e38}}}}))
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


def test_an_artifact_of_another_fingerprint_is_made_again_though_nothing_was_recorded(copy):
    """A folder of results without Snakemake's records, as after a clone: what each file carries decides."""
    shutil.rmtree(copy.path(".snakemake"))
    assert copy.snakemake("-n").jobs == NOTHING
    with h5py.File(copy.path("results/distilled/digits/idm/ipc1/seed0.h5"), "r+") as file:
        file.attrs["fingerprint"] = "0" * 32
    assert copy.snakemake("-n").jobs == AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}
    records = copy.path("results/evaluation/digits/dm/ipc1/seed0/convnet.json")
    records.write_text(json.dumps(json.loads(records.read_text()) | {"fingerprint": "1" * 32}))
    assert copy.snakemake("-n").jobs == AGGREGATES | {"distill": 1, "evaluate": 2, "images": 1}
    assert copy.snakemake("-n", "results/evaluation/digits/dm/ipc1/seed0/convnet.json").jobs == {"evaluate": 1}
    assert copy.snakemake("-n", "results/distilled/digits/dm/ipc1/seed0.h5").jobs == NOTHING


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("tables", "results/distilled/digits/idm/ipc1/seed0.h5"),
        ("figures", "results/evaluation/digits/dm/ipc1/seed0/convnet.json"),
    ],
)
def test_the_aggregator_refuses_an_artifact_of_another_fingerprint(copy, target, name):
    path = copy.path(name)
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["fingerprint"] = "0" * 32
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "1" * 32}))
    script = copy.snakefile.parent / "scripts" / "aggregate.py"
    command = [sys.executable, str(script), "--config", "config/config.yaml", "--target", target]
    done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert path.name in done.stderr
    assert "fingerprint" in done.stderr


def test_code_that_changes_while_the_workflow_runs_is_noticed(checkout):
    """A job whose code is no longer the code that was planned refuses to run."""
    edit(
        checkout,
        "workflow/rules/distill.smk",
        "'exec ",
        "'echo EDITED=1 >>$SCRIPTS/../../bacon/distillation/real_images.py; exec ",
    )
    run = checkout.snakemake("--forcerun", "distill", "--until", "distill", check=False)
    assert run.returncode != 0
    assert "changed while the workflow ran" in run.output


def test_the_documented_table_is_the_one_that_is_tested():
    """``python -m tests.workflow.staleness_edits`` writes it."""
    page = ROOT / "docs" / "reproducibility.md"
    assert page.read_text() == page_with_table(page.read_text())
