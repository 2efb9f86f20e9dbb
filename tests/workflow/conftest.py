import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests.workflow import forked

ROOT = Path(__file__).parents[2]

# Seconds, not minutes: two cells per method, tiny networks, a few iterations.
TINY = {
    "preset": "smoke",
    "grid": {"datasets": ["digits"], "methods": ["random", "dm", "idm", "bacon"], "ipc": [1], "seeds": 1},
    "datasets": {"digits": {"network": {"width": 8, "depth": 2}}},
}


@dataclass
class Run:
    """A finished Snakemake call."""

    returncode: int
    output: str

    @property
    def jobs(self) -> dict[str, int]:
        """Rule -> number of jobs, from the job statistics that Snakemake prints (empty: nothing to do)."""
        lines = iter(self.output.splitlines())
        for line in lines:
            if line.split() == ["job", "count"]:
                next(lines)
                counts = {}
                for row in lines:
                    parts = row.split()
                    if len(parts) != 2 or parts[0] == "total":
                        break
                    counts[parts[0]] = int(parts[1])
                return counts
        return {}


@dataclass
class Project:
    """A working directory of its own, driven through the real Snakemake."""

    folder: Path
    snakefile: Path = ROOT / "workflow" / "Snakefile"
    installed: list[str] = field(default_factory=list)
    """Further folders on Python's path."""
    inherits: bool = False
    """Whether Snakemake inherits all that this process has, limits on files too, and imports everything itself."""

    def configure(self, config: dict) -> None:
        (self.folder / "config").mkdir(exist_ok=True)
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))

    def snakemake(self, *arguments: str, check: bool = True) -> Run:
        arguments = (
            "--snakefile", str(self.snakefile), "--directory", str(self.folder),
            "--workflow-profile", str(ROOT / "workflow" / "profiles" / "default"), "--cores", "2", "--resources", "gpu=2",
            "--nocolor", *arguments,
        )  # fmt: skip
        path = os.pathsep.join([str(self.snakefile.parents[1]), *self.installed])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        call = _in_new_process if self.inherits else forked.snakemake
        run = Run(*call([*arguments], folder=self.folder, environment=environment))
        assert not check or run.returncode == 0, run.output
        return run

    def path(self, name: str) -> Path:
        return self.folder / name


def _in_new_process(arguments: list[str], *, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.configure(TINY)
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A tiny grid, run once for all processes that run tests side by side; tests that change it take a copy."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made, log = Project(base / "finished", inherits=True), base / "finished.log"
    with FileLock(base / "finished.lock"):
        if not log.exists():
            made.folder.mkdir(exist_ok=True)
            made.configure(TINY)
            log.write_text(made.snakemake().output)
    made.first_run = Run(0, log.read_text())
    return made


@pytest.fixture
def copy(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    return Project(folder)
