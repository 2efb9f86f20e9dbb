"""The workflow on a real SLURM cluster of one node: every stage, GPUs, time limits, cancelled and failing jobs."""

import json
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import yaml

from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from tests.slurm.conftest import images_of, long_config, wake
from tests.waiting import wait_for
from tests.workflow.conftest import ROOT, TINY, Project

pytestmark = pytest.mark.slurm

SEEDS = ("digits/bacon/ipc1/seed0", "digits/bacon/ipc1/seed1")


def distilled(cell):
    return f"results/distilled/{cell}.h5"


def demo_grid():
    """The default configuration with a few iterations, a small network, one IPC and one distillation seed."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    grid = config["grid"] | {"ipc": [1], "seeds": 1}
    return config | {"preset": "smoke", "grid": grid, "datasets": {"digits": {"network": {"width": 8, "depth": 2}}}}


def test_the_demo_grid_goes_through_sbatch_and_gives_the_local_numbers(project, tmp_path_factory):
    config = demo_grid()
    project.configure(config)
    with project.call() as call:
        output = call.wait()
    assert call.returncode == 0, output
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: \S*/rule_(\w+)/", output)
    rules = Counter(rule for _, rule in submitted)
    cells = len(config["grid"]["methods"]) * len(config["grid"]["ipc"])
    trained = sum(len(training.blocks) for training in Plan(check_config(config)).trainings.values())
    assert rules == {"preprocess": 1, "train": trained, "distill": cells, "evaluate": cells, "evaluate_full": 1}
    local = Project(tmp_path_factory.mktemp("local"))
    local.configure(config)
    local.snakemake(distilled(SEEDS[0]))
    for ours, theirs in zip(images_of(project.path(distilled(SEEDS[0]))), images_of(local.path(distilled(SEEDS[0]))),
                            strict=True):  # fmt: skip
        assert np.array_equal(ours, theirs)
    table = project.path("results/tables/accuracy.csv").read_text()
    assert all(method in table for method in config["grid"]["methods"])
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


def test_slurm_warns_jobs_before_their_time_limit_and_they_write_a_checkpoint(project, local_images):
    """The profile's --signal=USR1@120, on jobs that have two minutes left; SLURM wakes them for it."""
    project.configure(long_config(checkpoint_seconds=1000))
    with project.call(*map(distilled, SEEDS)) as call:
        for cell in SEEDS:
            project.freeze(cell, " left")
        first = project.limits()
        for job in first:
            project.end_within(job, minutes=2)
        wait_for(lambda: all("stopped by signal 10" in project.job_log(cell) for cell in SEEDS))
        output = call.wait()
    assert call.returncode == 0, output
    assert "TIMEOUT" not in output
    again = [limit for job, limit in project.limits().items() if job not in first]
    assert again == [2 * limit for limit in first.values()], "the second attempt asks for twice as much time"
    assert all(re.search(r"resumed at iteration [1-9]", project.job_log(cell)) for cell in SEEDS)
    assert_undisturbed(project, local_images)


def test_jobs_that_slurm_ends_at_their_time_limit_resume(long_project, local_images):
    """Without the warning they are told to end when their time is up."""
    project = long_project
    with project.call(*map(distilled, SEEDS), "--set-resources", "distill:slurm_extra=''") as call:
        for cell in SEEDS:
            project.freeze(cell, "checkpoint at iteration")
        for job in project.limits():
            project.end_within(job, minutes=1)
        output = call.wait()
    assert call.returncode == 0, output
    assert output.count("TIMEOUT") >= 2, output
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
    assert set(re.findall(r"Error in rule (\w+)", output)) == {"distill"}
    (failed,) = (job for job in status(project)["jobs"] if job["state"] == "failed")
    assert (failed["name"], failed["log"]) == (SEEDS[0], f"results/logs/distill/{SEEDS[0]}.log")
    assert "the loss is not finite" in failed["detail"]
