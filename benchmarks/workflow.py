"""What the workflow adds to the computing: starting a job, reading data, planning large grids and saying how far they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from bacon.config.name_checks import GRID_METHODS
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import read_dataset, write_dataset
from bacon.distillation.real_images import RealImages
from bacon.runtime.errors import BaconError
from bacon.settings.protocol_records import PROTOCOLS
from benchmarks.cells import ROOT, random_dataset
from benchmarks.machine import best_of

_METHODS, _PROTOCOLS = 28, 12
_STARTS = {
    "python": "pass",
    "distill_job": "import bacon.jobs.distillation_job",
    "evaluate_job": "import bacon.jobs.evaluation_job",
}


def measure(*, cells: int, dataset: str, device: torch.device, large: bool = False) -> dict[str, Any]:
    """Seconds of what is not distillation or evaluation.

    Args:
        cells: cells of the grid that is planned, with a distillation and an evaluation job each; a multiple of 40.
        dataset: data set that is read, as random data.
        device: where it is read to.
        large: also plan every method on every data set under twelve protocols.
    """
    row: dict[str, Any] = {f"start_{name}_seconds": start(code) for name, code in _STARTS.items()}
    with tempfile.TemporaryDirectory(prefix="bacon-benchmark-") as folder:
        row |= {"dataset": dataset, "read_seconds": reading(dataset, Path(folder), device)}
        row |= planning(small_grid(cells), Path(folder))
        row |= scheduling(Path(folder))
        if large:
            row |= {f"everything_{name}": value for name, value in everything(Path(folder) / "everything").items()}
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


def small_grid(cells: int) -> dict[str, Any]:
    """A configuration of ``cells`` cells of one data set and four methods, under one protocol."""
    methods, ipc = ["random", "dm", "idm", "bacon"], list(range(1, 11))
    grid = {"datasets": ["digits"], "methods": methods, "ipc": ipc, "seeds": cells // (len(methods) * len(ipc))}
    return {"preset": "smoke", "grid": grid}


def everything_grid() -> dict[str, Any]:
    """Every method on every registered data set under twelve protocols: 28 x 7 x 3 x 5 cells, 35,280 evaluations."""
    methods = list(GRID_METHODS)
    variants = {f"{name}-variant": {"method": name} for name in methods}
    names = [*methods, *variants][:_METHODS]
    # Those that need neither a validation split nor anything that is not there yet.
    known = [name for name, one in PROTOCOLS.items() if not one.missing and "lr_search" not in one.evaluation]
    return {
        "preset": "smoke",
        "grid": {
            "datasets": list(REGISTRY), "methods": names, "ipc": [1, 5, 10], "seeds": 5, "protocols": known[:_PROTOCOLS],
        },
        "variants": {name: one for name, one in variants.items() if name in names},
    }  # fmt: skip


def everything(folder: Path) -> dict[str, Any]:
    """Planning of :func:`everything_grid`, and seconds of ``bacon status`` on it, the best of three."""
    folder.mkdir()
    found = planning(everything_grid(), folder)
    command = [sys.executable, "-m", "bacon.cli", "status", "--config", "config.yaml"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    status = best_of(
        lambda: subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True),
        torch.device("cpu"),
        rounds=3,
    )
    return found | {"status_seconds": status}


def scheduling(folder: Path, jobs: int = 200) -> dict[str, Any]:
    """CPU seconds of Snakemake while a job waits for a device, after many others have finished.

    Short jobs one at a time, then two of 20 s: with Snakemake's own timers, and with one timer, as this workflow has it.
    """
    found: dict[str, Any] = {"scheduled_jobs": jobs}
    for name, prepare in (("own_timers", "pass"), ("one_timer", "wake_with_one_timer()")):
        snakefile = folder / f"{name}.smk"
        snakefile.write_text(_JOBS.format(prepare=prepare, name=name, jobs=jobs), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(folder)]
        usage = measured([*command, "--cores", "1", "--resources", "gpu=1", "--nocolor"], folder)
        found[f"scheduling_{name}_cpu_seconds"] = usage["cpu_seconds"]
    return found


_JOBS = """
from bacon.operations.snakemake_internals import wake_with_one_timer

{prepare}

rule all:
    input:
        expand("{name}/long{{number}}", number=[1, 2]),

rule short:
    output:
        touch("{name}/{{number,[0-9]+}}"),
    resources:
        gpu=1,
    shell:
        "true"

rule long:
    input:
        expand("{name}/{{number}}", number=range({jobs})),
    output:
        touch("{name}/long{{number}}"),
    resources:
        gpu=1,
    shell:
        "sleep 20"
"""
"""Jobs that wait for one device, as the cells of a grid do."""


def planning(configuration: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Wall and CPU seconds and peak memory of ``snakemake --dry-run`` on a configuration, and the jobs that it finds."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(dict(configuration)), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--configfile", str(config), "--directory", str(folder), "--cores", "1", "--dry-run", "--nocolor"]
    begun = time.perf_counter()
    usage = measured(command, folder)
    seconds = time.perf_counter() - begun
    totals = [line.split() for line in usage["output"].splitlines() if line.startswith("total ")]
    return {
        "planned_jobs": int(totals[0][1]),
        "dry_run_seconds": seconds,
        "dry_run_cpu_seconds": usage["cpu_seconds"],
        "dry_run_memory_mb": usage["memory_mb"],
    }


def measured(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a command: what it printed, its CPU seconds and its peak memory, children included.

    Raises:
        BaconError: it failed.
    """
    usage_file = folder / "usage.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(usage_file), *command],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode:
        raise BaconError(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-500:]}")
    return {"output": done.stdout, **json.loads(usage_file.read_text(encoding="utf-8"))}


_MEASURED = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
known = {"cpu_seconds": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / 1e3}
json.dump(known, open(sys.argv[1], "w"))
sys.exit(code)
"""
"""Runs a command and writes what it used; a process of its own, so that no earlier child counts (ru_maxrss in KiB)."""
