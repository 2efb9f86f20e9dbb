"""Results that were made elsewhere, or whose records are of another run: the fingerprint that a file carries decides."""

import base64
import shutil

import pytest

from tests.workflow.conftest import Project
from tests.workflow.staleness_edits import AGGREGATES, NOTHING, travelled
from tests.workflow.test_staleness import changed, checkout, edit  # noqa: F401 - a fixture

pytestmark = pytest.mark.workflow

DM = "results/distilled/digits/dm/ipc1/seed0.h5"
OTHER_DM = {"methods": {"dm": {"distillation": {"lr_img": 0.5}}}}


def test_records_of_other_settings_do_not_count_for_results_from_elsewhere(finished, copy):
    """The folder computed a cell with other settings; then the results of these arrive."""
    copy.configure(changed(**OTHER_DM))
    assert copy.snakemake().jobs == AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}
    shutil.rmtree(copy.path("results"))
    shutil.copytree(finished.path("results"), copy.path("results"))
    copy.configure(changed())
    assert copy.snakemake("-n").jobs == NOTHING
    assert copy.snakemake().jobs == NOTHING
    copy.configure(changed(**OTHER_DM))
    assert copy.snakemake("-n").jobs == AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}


def test_code_of_the_tables_is_noticed_without_records(checkout):  # noqa: F811
    """Tables carry no fingerprint themselves."""
    travelled(checkout.folder)
    edit(checkout, "bacon/reporting/tables/make_tables.py", "kinds = (", "edited, kinds = True, (")
    assert checkout.snakemake("-n").jobs == {"all": 1, "tables": 1}


def test_a_table_that_is_not_the_one_that_was_made_is_left_to_snakemake(copy):
    copy.path("results/tables/summary.md").write_text("Edited by hand.\n")
    assert copy.snakemake("-n").jobs == NOTHING
    copy.path("results/tables/summary.md").unlink()
    assert copy.snakemake("-n").jobs == {"all": 1, "tables": 1}


def test_a_file_that_was_whole_when_its_job_was_killed_is_kept(copy):
    """Files appear whole or not at all: Snakemake's mark that the job did not end says nothing of one that is right."""
    marks = copy.path(".snakemake/incomplete")
    marks.mkdir(exist_ok=True)
    (marks / base64.b64encode(DM.encode()).decode()).touch()
    assert copy.snakemake("-n").jobs == NOTHING
    copy.configure(changed(**OTHER_DM))
    assert copy.snakemake("-n").jobs.get("distill") == 1


def test_a_forced_distillation_is_followed_by_its_evaluation(copy):
    run = copy.snakemake("-n", "--forcerun", DM)
    assert run.jobs == AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}


def test_a_lost_result_is_made_again_after_travelling(finished, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("config", "results", ".snakemake"):
        shutil.copytree(finished.path(name), folder / name)
    travelled(folder)
    project = Project(folder)
    project.path("results/evaluation/digits/dm/ipc1/seed0/convnet.json").unlink()
    assert project.snakemake("-n").jobs == AGGREGATES | {"evaluate": 1}
    assert project.snakemake().jobs == AGGREGATES | {"evaluate": 1}
    assert project.snakemake().jobs == NOTHING
