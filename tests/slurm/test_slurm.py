"""The workflow on a real SLURM cluster of one node: every stage, GPUs, time limits, cancelled and failing jobs."""

import re
import subprocess

import numpy as np
import pytest

from tests.slurm.conftest import images_of, long_config, queue, wait_for
from tests.workflow.conftest import TINY, Project

pytestmark = pytest.mark.slurm

SEEDS = ("digits/bacon/ipc1/seed0", "digits/bacon/ipc1/seed1")


def distilled(cell):
    return f"results/distilled/{cell}.h5"


def test_the_whole_grid_goes_through_sbatch_and_gives_the_local_numbers(project, tmp_path_factory):
    config = TINY | {"grid": TINY["grid"] | {"methods": ["random", "bacon"]}}
    project.configure(config)
    with project.call() as call:
        output = call.wait()
    assert call.returncode == 0, output
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: \S*/rule_(\w+)/", output)
    rules = [rule for _, rule in submitted]
    assert sorted(rules) == ["distill"] * 2 + ["evaluate"] * 2 + ["evaluate_full", "preprocess"]
    local = Project(tmp_path_factory.mktemp("local"))
    local.configure(config)
    local.snakemake(distilled(SEEDS[0]))
    for ours, theirs in zip(images_of(project.path(distilled(SEEDS[0]))), images_of(local.path(distilled(SEEDS[0]))),
                            strict=True):  # fmt: skip
        assert np.array_equal(ours, theirs)
    assert "bacon" in project.path("results/tables/accuracy.csv").read_text()
    # Nothing is left to do, for the cluster or for a local call.
    assert project.snakemake("-n").jobs == {}


def assert_undisturbed(project, local_images):
    for cell, expected in zip(SEEDS, local_images, strict=True):
        for ours, theirs in zip(images_of(project.path(distilled(cell))), expected, strict=True):
            assert np.array_equal(ours, theirs)


def test_two_gpu_jobs_get_different_devices_and_a_cancelled_one_resumes(long_project, local_images):
    project = long_project
    with project.call(*map(distilled, SEEDS)) as call:
        wait_for(lambda: all("checkpoint at iteration" in project.job_log(cell) for cell in SEEDS))
        # Both run at this moment.
        logs = [project.job_log(cell) for cell in SEEDS]
        devices = [re.search(r"SLURM job (\d+) on \S+, assigned devices: (\d+)", log).groups() for log in logs]
        assert {device for _, device in devices} == {"0", "1"}
        subprocess.run(["scancel", devices[0][0]], check=True)
        output = call.wait()
    assert call.returncode == 0, output
    assert re.search(r"resumed at iteration \d+", project.job_log(SEEDS[0]))
    assert "resumed" not in project.job_log(SEEDS[1])
    assert_undisturbed(project, local_images)


def test_slurm_warns_a_job_with_usr1_which_then_writes_a_checkpoint(long_project, local_images):
    project = long_project
    project.configure(long_config() | {"run": {"progress_seconds": 0.5, "checkpoint_seconds": 1000}})
    with project.call(*map(distilled, SEEDS)) as call:
        wait_for(lambda: all("left" in project.job_log(cell) for cell in SEEDS))
        jobs = queue("R")
        assert len(jobs) == 2
        # What SLURM does before a time limit with the profile's --signal=USR1@120.
        subprocess.run(["scancel", "--signal=USR1", *jobs], check=True)
        wait_for(lambda: all("stopped by signal 10" in project.job_log(cell) for cell in SEEDS), 30)
        output = call.wait()
    assert call.returncode == 0, output
    assert all("resumed at iteration" in project.job_log(cell) for cell in SEEDS)
    assert_undisturbed(project, local_images)


def test_a_job_over_its_time_limit_resumes_with_more_time(project):
    """Longer than a minute, which is the least that SLURM counts; the second attempt has more and finishes the rest."""
    project.configure(long_config(iterations=3000))
    cell = SEEDS[0]
    with project.call(distilled(cell), "--set-resources", "distill:runtime=attempt") as call:
        wait_for(lambda: "resumed at iteration" in project.job_log(cell), 240)
        assert int(re.search(r"resumed at iteration (\d+)", project.job_log(cell))[1]) > 100
        time_limit = subprocess.run(
            ["squeue", "-h", "-o", "%l"], capture_output=True, text=True, check=True
        ).stdout.split()
        assert time_limit == ["2:00"]
        output = call.wait()
    assert call.returncode == 0, output
    assert len(images_of(project.path(distilled(cell)))[1]) == 3000


def test_a_failing_cell_stops_no_other_and_is_reported(project):
    config = TINY | {"grid": TINY["grid"] | {"methods": ["random", "bacon"]}}
    # lr_img so large that the loss is not finite.
    override = {"digits/bacon": {"distillation": {"lr_img": 1.0e30}}}
    project.configure(config | {"overrides": override})
    with project.call("--retries", "0") as call:
        output = call.wait()
    assert call.returncode != 0
    assert "the loss is not finite" in output
    assert project.path("results/evaluation/digits/random/ipc1/seed0/convnet.json").exists()
    assert not project.path("results/tables/accuracy.csv").exists()
    failed = re.findall(r"Error in rule (\w+)", output)
    assert "distill" in failed
