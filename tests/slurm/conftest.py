import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest
import yaml

from bacon.runtime.heartbeat import read_progress
from bacon.settings.cells import Cell
from tests.waiting import wait_for
from tests.workflow.conftest import ROOT, TINY, Project

CLUSTER = Path(__file__).with_name("cluster.sh")
# Snakemake's command line, which looks after its jobs every second. After each look that finds none ended, the plugin for SLURM
# waits ten seconds longer, which suits jobs of hours.
IMPATIENT = """
import asyncio
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.sleep = lambda self: asyncio.sleep(1)
main()
"""


@pytest.fixture(scope="session")
def cluster():
    """A failure to install or start SLURM fails the tests, with what was said: a check that skips itself is none.

    A test run that is told to end stops its calls and the cluster first, as one that is interrupted does.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    started = subprocess.run([CLUSTER, "start"], check=False, capture_output=True, text=True, timeout=300)
    assert started.returncode == 0, f"no cluster of one node:\n{started.stdout}{started.stderr}"
    yield
    # One that was there before stays.
    if "already running" not in started.stdout:
        subprocess.run([CLUSTER, "stop"], check=True, timeout=60)


def _interrupt(*_):
    raise KeyboardInterrupt


@dataclass
class Call:
    """A Snakemake that submits to the cluster and runs until it is waited for."""

    project: Project
    process: subprocess.Popen
    log: Path

    def wait(self, seconds: float = 600) -> str:
        self.returncode = self.process.wait(timeout=seconds)
        return self.log.read_text()


@dataclass
class SlurmProject(Project):
    """A working directory whose jobs go through sbatch."""

    def start(self, *arguments: str) -> Call:
        command = [
            sys.executable, "-c", IMPATIENT, "--snakefile", str(self.snakefile), "--directory", str(self.folder),
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
                if jobs := self.queue():
                    subprocess.run(["scancel", *jobs], check=False)

    def queue(self, state: str = "R,PD") -> list[str]:
        """Numbers of this project's jobs in these states; never another's."""
        return [number for number, _ in self._squeue(state, "%A")]

    def limits(self) -> dict[str, int]:
        """Number -> time limit in minutes of every distillation that the cluster remembers, in the order of numbers."""
        found = [(int(job), rest) for job, rest in self._squeue("all", "%A %l %k")]
        return {str(job): _seconds(rest.split()[0]) // 60 for job, rest in sorted(found) if "rule_distill" in rest}

    def end_within(self, job: str, *, minutes: int) -> None:
        """Let a job's time limit be at most so many minutes from now, and at least one less."""
        (used,) = (rest for number, rest in self._squeue("R", "%A %M") if number == job)
        limit = _seconds(used) // 60 + minutes
        subprocess.run(["scontrol", "update", f"JobId={job}", f"TimeLimit={limit}"], check=True)

    def _squeue(self, state: str, form: str) -> list[tuple[str, str]]:
        """Number and the rest of the format, of this project's jobs in these states."""
        command = ["squeue", "-h", "-t", state, "-o", f"%Z\t{form}"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        mine = (rest for folder, rest in (line.split("\t", 1) for line in lines) if Path(folder) == self.folder)
        return [(number, rest) for number, _, rest in (line.partition(" ") for line in mine)]

    def job_log(self, cell: str) -> str:
        path = self.path(f"results/logs/distill/{cell}.log")
        return path.read_text() if path.exists() else ""

    def freeze(self, cell: str, text: str) -> int:
        """Put a distillation to sleep as soon as its log holds ``text``, so that no machine is too fast; its process."""
        wait_for(lambda: text in self.job_log(cell))
        pid = read_progress(self.path(str(Cell.parse(cell).running_path("distill")))).pid
        os.kill(pid, signal.SIGSTOP)
        return pid


def _seconds(clock: str) -> int:
    """Of SLURM's times, such as ``5:01`` or ``1-02:03:04``."""
    days, _, time = clock.rpartition("-")
    return int(days or 0) * 86400 + sum(int(part) * 60**n for n, part in enumerate(reversed(time.split(":"))))


def wake(pid: int) -> None:
    """Let a sleeping process go on."""
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def project(cluster, tmp_path):  # noqa: ARG001 - the cluster must run
    return SlurmProject(tmp_path)


@pytest.fixture
def long_project(project):
    """Two distillations of seconds each, with many checkpoints."""
    project.configure(long_config())
    return project


def long_config(**run):
    """One method, two seeds."""
    digits = {
        "network": {"width": 8, "depth": 2},
        "distillation": {"iterations": 200, "snapshot_interval": 0},
    }
    config = yaml.safe_load(yaml.safe_dump(TINY))
    config["grid"] |= {"methods": ["bacon"], "seeds": 2}
    config["datasets"] = {"digits": digits}
    config["run"] = {"progress_seconds": 0.2, "checkpoint_seconds": 0.2} | run
    return config


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
