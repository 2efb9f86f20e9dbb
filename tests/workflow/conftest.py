import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

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

    def configure(self, config: dict) -> None:
        (self.folder / "config").mkdir(exist_ok=True)
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))

    def snakemake(self, *arguments: str, check: bool = True) -> Run:
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile), "--directory", str(self.folder),
            "--workflow-profile", str(ROOT / "workflow" / "profiles" / "default"), "--cores", "2", "--resources", "gpu=2",
            "--nocolor", *arguments,
        ]  # fmt: skip
        path = os.pathsep.join([str(self.snakefile.parents[1]), *self.installed])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=self.folder)
        run = Run(done.returncode, done.stdout + done.stderr)
        assert not check or run.returncode == 0, run.output
        return run

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.configure(TINY)
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A tiny grid, run once; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    made = Project(folder)
    made.configure(TINY)
    made.first_run = made.snakemake()
    return made


@pytest.fixture
def copy(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    return Project(folder)
