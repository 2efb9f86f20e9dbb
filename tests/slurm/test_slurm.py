"""The workflow on a real SLURM cluster of one node: every stage, GPUs, time limits, cancelled and failing jobs."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.slurm.conftest import images_of, is_pending, long_config, wake
from tests.waiting import wait_for
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
        pids = [project.freeze(cell, "checkpoint at iteration") for cell in SEEDS]
        assert len(project.queue("R")) == 2
        logs = [project.job_log(cell) for cell in SEEDS]
        devices = [re.search(r"SLURM job (\d+) on \S+, assigned devices: (\d+)", log).groups() for log in logs]
        assert {device for _, device in devices} == {"0", "1"}
        for cell, (job, _) in zip(SEEDS, devices, strict=True):
            found = next(each for each in status(project)["jobs"] if (each["stage"], each["name"]) == ("distill", cell))
            assert found["state"] == "running"
            assert found["detail"].endswith(f"SLURM job {job}")
        subprocess.run(["scancel", devices[0][0]], check=True)
        wake(pids[1])
        output = call.wait()
    assert call.returncode == 0, output
    assert re.search(r"resumed at iteration \d+", project.job_log(SEEDS[0]))
    assert "resumed" not in project.job_log(SEEDS[1])
    assert_undisturbed(project, local_images)


def status(project):
    """What ``bacon status`` says while the workflow runs."""
    command = [sys.executable, "-m", "bacon.cli", "status", "--json"]
    return json.loads(subprocess.run(command, cwd=project.folder, capture_output=True, check=True).stdout)


def test_slurm_warns_a_job_with_usr1_which_then_writes_a_checkpoint(project, local_images):
    project.configure(long_config(checkpoint_seconds=1000))
    with project.call(*map(distilled, SEEDS)) as call:
        pids = [project.freeze(cell, " left") for cell in SEEDS]
        # What SLURM does before a time limit with the profile's --signal=USR1@120.
        subprocess.run(["scancel", "--signal=USR1", *project.queue("R")], check=True)
        for pid, cell in zip(pids, SEEDS, strict=True):
            wait_for(lambda pid=pid: is_pending(pid, signal.SIGUSR1))
            wake(pid)
            wait_for(lambda cell=cell: "stopped by signal 10" in project.job_log(cell))
        output = call.wait()
    assert call.returncode == 0, output
    assert all("resumed at iteration" in project.job_log(cell) for cell in SEEDS)
    assert_undisturbed(project, local_images)


def test_jobs_at_their_time_limit_resume_with_more_time(long_project, local_images):
    """Both sleep after a checkpoint, so that a minute is too little on any machine.

    The first wakes for SLURM's warning before the limit, as a job that computes would; the second sleeps until SLURM ends it.
    """
    project = long_project
    limits = ["distill:runtime=attempt", "distill:slurm_extra='--signal=USR1@20'"]
    with project.call(*map(distilled, SEEDS), "--set-resources", *limits) as call:
        warned, _ = (project.freeze(cell, "checkpoint at iteration") for cell in SEEDS)
        wait_for(lambda: is_pending(warned, signal.SIGUSR1))
        wake(warned)
        wait_for(lambda: "stopped by signal 10" in project.job_log(SEEDS[0]))
        output = call.wait()
    assert call.returncode == 0, output
    assert len(re.findall(r"Error in rule distill", output)) == 2
    assert "TIMEOUT" in output
    assert all(re.search(r"resumed at iteration [1-9]", project.job_log(cell)) for cell in SEEDS)
    assert_undisturbed(project, local_images)


def test_a_failing_cell_stops_no_other_and_is_reported(project):
    config = TINY | {"grid": TINY["grid"] | {"methods": ["random", "bacon"]}}
    # A weight so large that the loss is not finite.
    override = {"digits/bacon": {"distillation": {"networks": {"ce_weight": 1.0e38}}}}
    project.configure(config | {"overrides": override})
    with project.call("--retries", "0") as call:
        output = call.wait()
    assert call.returncode != 0
    assert "the loss is not finite" in output
    assert project.path("results/evaluation/digits/random/ipc1/seed0/convnet.json").exists()
    assert not project.path("results/tables/accuracy.csv").exists()
    failed = re.findall(r"Error in rule (\w+)", output)
    assert "distill" in failed
