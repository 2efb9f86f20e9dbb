"""What the workflow adds to the computing: starting a job, reading data, planning a large grid."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from bacon.datasets.store import read_dataset, write_dataset
from bacon.distillation.real_images import RealImages
from bacon.runtime.errors import BaconError
from benchmarks.cells import ROOT, random_dataset
from benchmarks.machine import best_of

_STARTS = {
    "python": "pass",
    "distill_job": "import bacon.jobs.distillation_job",
    "evaluate_job": "import bacon.jobs.evaluation_job",
}


def measure(*, cells: int, dataset: str, device: torch.device) -> dict[str, Any]:
    """Seconds of what is not distillation or evaluation.

    Args:
        cells: cells of the grid that is planned, with a distillation and an evaluation job each; a multiple of 40.
        dataset: data set that is read, as random data.
        device: where it is read to.
    """
    row: dict[str, Any] = {f"start_{name}_seconds": start(code) for name, code in _STARTS.items()}
    with tempfile.TemporaryDirectory(prefix="bacon-benchmark-") as folder:
        row |= {"dataset": dataset, "read_seconds": reading(dataset, Path(folder), device)}
        row |= planning(cells, Path(folder))
    return row


def start(code: str) -> float:
    """Wall time of a Python process that imports what a job imports, the best of three."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", code]
    return best_of(lambda: subprocess.run(command, check=True, env=environment), torch.device("cpu"), rounds=3)


def reading(dataset: str, folder: Path, device: torch.device) -> float:
    """Seconds to read a preprocessed data set and bring it to the device."""
    path = folder / "data.h5"
    write_dataset(path, random_dataset(dataset))
    return best_of(lambda: RealImages(read_dataset(path), device=device), device, rounds=3)


def planning(cells: int, folder: Path) -> dict[str, Any]:
    """Seconds of ``snakemake --dry-run`` on a grid of ``cells`` cells, and the jobs it finds."""
    methods, ipc = ["random", "dm", "idm", "bacon"], list(range(1, 11))
    grid = {"datasets": ["digits"], "methods": methods, "ipc": ipc, "seeds": cells // (len(methods) * len(ipc))}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"preset": "smoke", "grid": grid}), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--configfile", str(config), "--directory", str(folder), "--cores", "1", "--dry-run", "--nocolor"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise BaconError(f"snakemake --dry-run failed: {(done.stderr or done.stdout)[-500:]}")
    totals = [line.split() for line in done.stdout.splitlines() if line.startswith("total ")]
    return {"planned_jobs": int(totals[0][1]), "dry_run_seconds": seconds}
