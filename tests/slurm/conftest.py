import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest
import yaml

from tests.workflow.conftest import ROOT, TINY, Project

CLUSTER = Path(__file__).with_name("cluster.sh")


@pytest.fixture(scope="session")
def cluster():
    subprocess.run([CLUSTER, "start"], check=True, capture_output=True, text=True, timeout=300)
    yield
    subprocess.run([CLUSTER, "stop"], check=True, timeout=60)


@dataclass
class Call:
    """A Snakemake that submits to the cluster and runs until it is waited for."""

    project: Project
    process: subprocess.Popen
    log: Path

    def wait(self, seconds: float = 300) -> str:
        self.returncode = self.process.wait(timeout=seconds)
        return self.log.read_text()


@dataclass
class SlurmProject(Project):
    """A working directory whose jobs go through sbatch."""

    def start(self, *arguments: str) -> Call:
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile), "--directory", str(self.folder),
            "--workflow-profile", str(ROOT / "workflow" / "profiles" / "slurm"),
            # A cluster of one node answers at once; the rest is the profile's.
            "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2",
            "--latency-wait", "10", "--nocolor", *arguments,
        ]  # fmt: skip
        log = self.folder / "snakemake.log"
        # Nothing of a real cluster's variables; the profile's defaults must do here.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BACON_SLURM_")}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.snakefile.parents[1])}
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=self.folder, start_new_session=True
            )
        return Call(self, process, log)

    @contextmanager
    def call(self, *arguments: str):
        """A call that is ended with its jobs when the test leaves, whatever happened."""
        started = self.start(*arguments)
        try:
            yield started
        finally:
            if started.process.poll() is None:
                os.killpg(started.process.pid, signal.SIGKILL)
                started.process.wait()
                subprocess.run(["scancel", *queue()], check=False)

    def job_log(self, cell: str) -> str:
        path = self.path(f"results/logs/distill/{cell}.log")
        return path.read_text() if path.exists() else ""


@pytest.fixture
def project(cluster, tmp_path):  # noqa: ARG001 - the cluster must run
    return SlurmProject(tmp_path)


@pytest.fixture
def long_project(project):
    """Two distillations of a quarter of a minute each, a checkpoint every two seconds."""
    project.configure(long_config())
    return project


def long_config(iterations=500, **changes):
    """One method, two seeds; ``iterations`` decides how long a distillation takes."""
    digits = {
        "network": {"width": 8, "depth": 2},
        "distillation": {"iterations": iterations, "snapshot_interval": 0},
    }
    config = yaml.safe_load(yaml.safe_dump(TINY))
    config["grid"] |= {"methods": ["bacon"], "seeds": 2}
    config["datasets"] = {"digits": digits}
    config["run"] = {"progress_seconds": 0.5, "checkpoint_seconds": 2}
    return config | changes


def queue(state: str = "R,PD") -> list[str]:
    """Numbers of the jobs in these states."""
    command = ["squeue", "-h", "-t", state, "-o", "%A"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def wait_for(condition, seconds: float = 120):
    """The first true value of ``condition()``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"nothing after {seconds} s")


def images_of(path: Path):
    with h5py.File(path) as file:
        return file["images"][()], file["history/loss"][()]


@pytest.fixture(scope="session")
def local_images(tmp_path_factory):
    """The two long cells, computed by a local Snakemake that nobody disturbs."""
    local = Project(tmp_path_factory.mktemp("local"))
    local.configure(long_config())
    paths = [f"results/distilled/digits/bacon/ipc1/seed{seed}.h5" for seed in (0, 1)]
    local.snakemake(*paths)
    found = [images_of(local.path(path)) for path in paths]
    shutil.rmtree(local.folder)
    return found
