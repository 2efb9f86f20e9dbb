"""Bad configurations stop the workflow before it does anything, with one clear message."""

import pytest

from tests.workflow.conftest import ROOT, TINY

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {"datasets": ["digits"], "method": ["bacon"]}}, "did you mean 'methods'"),
        ({"grid": {"datasets": ["cifar11"]}}, "did you mean 'cifar10'"),
        ({"grid": {"ipc": [500]}}, "at most IPC"),
        ({"data": {"mine": {"format": "npz", "path": "absent.npz"}}, "grid": {"datasets": ["mine"]}}, "absent.npz"),
    ],
)
def test_a_bad_configuration_stops_with_a_message(project, change, message):
    project.configure(TINY | change)
    run = project.snakemake(check=False)
    assert run.returncode != 0
    assert message in run.output
    assert "Traceback" not in run.output
    assert not project.path("results/data").exists()


def test_a_file_that_cannot_be_read_ends_snakemake_with_one_line(project):
    project.path("my.yaml").write_text("preset: smoke\ngrid: {ipc: [1]}\npreset: demo\n")
    run = project.snakemake("-n", "--configfile", "my.yaml", check=False)
    assert run.returncode == 1
    assert run.output.strip().splitlines()[-1] == (
        "Error: my.yaml, line 3: the key 'preset' stands here and in line 1; keep one, with what both hold"
    )
    assert "Traceback" not in run.output


def test_the_paper_grid_is_planned_with_nothing_of_the_default_configuration(project):
    project.configure(TINY)
    run = project.snakemake("-n", "--configfile", str(ROOT / "config/paper.yaml"))
    jobs = run.jobs
    assert jobs["download"] == jobs["preprocess"] == jobs["train"] == jobs["evaluate_full"] == 4
    assert jobs["distill"] == jobs["evaluate"] == 11 * 4 * 5
    assert jobs["images"] == 11 * 4
