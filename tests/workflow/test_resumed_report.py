"""Snakemake's report after a run that was stopped and went on: the times of all parts of a job."""

import json
import os
import re
import signal
import subprocess

import h5py
import pytest

from tests.faults.kills import CONFIG, command
from tests.waiting import wait_for
from tests.workflow.conftest import Project

pytestmark = pytest.mark.workflow

CELL = "digits/bacon/ipc1/seed0"
LOG = f"results/logs/distill/{CELL}.log"


def stopped_and_resumed(project, cell):
    """Snakemake's first call stops with the job, after a checkpoint; the second ends. Seconds of the first part."""
    call = subprocess.Popen(
        command(project.folder, f"results/distilled/{cell}.h5"), cwd=project.folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = project.path(LOG)
    wait_for(lambda: log.exists() and "checkpoint at iteration" in log.read_text())
    beat = project.path(f"results/.cache/running/{cell}/distill.json")
    os.kill(json.loads(beat.read_text())["pid"], signal.SIGTERM)
    assert call.wait(300) != 0
    project.snakemake()
    return float(re.search(r"resumed at iteration \d+, after ([\d.]+) s", log.read_text())[1])


def test_the_report_shows_the_time_of_all_parts_of_a_resumed_job(tmp_path):
    project = Project(tmp_path)
    project.configure(CONFIG | {"grid": CONFIG["grid"] | {"seeds": 1}})
    first_part = stopped_and_resumed(project, CELL)
    with h5py.File(project.path(f"results/distilled/{CELL}.h5")) as file:
        whole = float(file.attrs["wall_seconds"])
    assert whole > first_part > 0
    project.snakemake("--report", "results/report.html")
    page = project.path("results/report.html").read_text()
    spec = json.loads(re.search(r"var runtimes_spec = (\{.*?\});\n", page, re.DOTALL)[1])
    times = {each["rule"]: each["runtime"] for each in spec["data"]["values"]}
    assert times["distill"] == pytest.approx(whole, abs=1e-3)
    records = json.loads(project.path(f"results/evaluation/{CELL}/convnet.json").read_text())["records"]
    assert times["evaluate"] == pytest.approx(sum(record["wall_seconds"] for record in records), abs=1e-3)
