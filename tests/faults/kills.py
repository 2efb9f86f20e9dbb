"""Kill jobs, Snakemake, or both, at random moments, and hold what comes out at the end against an undisturbed run.

By hand, with a tally: ``python -m tests.faults.kills --kills 100 --seed 1 --folder /tmp/kills``.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
VICTIMS = ("job", "snakemake", "both")
CONFIG = {
    "preset": "smoke",
    "grid": {"datasets": ["digits"], "methods": ["bacon"], "ipc": [1], "seeds": 100},
    "datasets": {
        "digits": {
            "network": {"width": 8, "depth": 2},
            "distillation": {"iterations": 150, "snapshot_interval": 50},
            "evaluation": {"epochs": 20},
        }
    },
    "run": {"progress_seconds": 0.2, "checkpoint_seconds": 0.3},
}


class Harness:
    """One working directory, disturbed; the cells' seeds are worked through one after another.

    Args:
        folder: the working directory, made here.
        seed: of victims and moments.
        longest: seconds within which a victim is killed, from the start of the call or, for a job, of its first job;
            less for a victim once it was gone before that.
    """

    def __init__(self, folder: Path, *, seed: int, longest: float = 7.0) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.longest = dict.fromkeys(VICTIMS, longest)
        self.tally: Counter[str] = Counter()
        self.victims = self._draw_victims()
        self.victim = next(self.victims)
        prepare(folder)

    def _draw_victims(self) -> Iterator[str]:
        """Each victim as often as the others, in random order."""
        while True:
            yield from self.random.sample(VICTIMS, len(VICTIMS))

    def disturb(self, kills: int) -> list[int]:
        """Kill until ``kills`` kills have met something alive; returns the seeds that were finished."""
        seeds = []
        while self.kills < kills:
            seeds.append(len(seeds))
            while not self.attempt(seeds[-1], disturbed=self.kills < kills):
                pass
        return seeds

    @property
    def kills(self) -> int:
        return sum(self.tally[f"killed {victim}"] for victim in VICTIMS)

    def attempt(self, seed: int, *, disturbed: bool) -> bool:
        """One call of Snakemake, perhaps killed; whether the cell is done."""
        if any((self.folder / ".snakemake/locks").glob("*")):
            subprocess.run(command(self.folder, "--unlock"), cwd=self.folder, capture_output=True, check=True)
        log = (self.folder / "call.log").open("w")
        call = subprocess.Popen(
            command(self.folder, target(seed)), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
        )
        if disturbed:
            self.kill_next(call)
        status = call.wait(timeout=600)
        self.tally[f"calls that ended with {'0' if status == 0 else 'an error' if status > 0 else 'a signal'}"] += 1
        return status == 0

    def kill_next(self, call: subprocess.Popen) -> None:
        """Kill the victim whose turn it is; one that was missed keeps its turn and is met sooner the next time."""
        after = self.random.uniform(0, self.longest[self.victim])
        if self.kill(call, self.victim, after):
            self.tally[f"killed {self.victim}"] += 1
            self.victim = next(self.victims)
        else:
            self.tally["came too late"] += 1
            self.longest[self.victim] = after

    def kill(self, call: subprocess.Popen, victim: str, after: float) -> bool:
        """``kill -9`` after a while; whether the victim was there then."""
        if victim == "job":
            while call.poll() is None and not self.jobs():
                time.sleep(0.02)
        end = time.monotonic() + after
        while time.monotonic() < end and call.poll() is None:
            time.sleep(0.02)
        jobs = self.jobs() if victim in ("job", "both") else []
        if call.poll() is not None or (victim == "job" and not jobs):
            return False
        if victim in ("snakemake", "both"):
            os.kill(call.pid, signal.SIGKILL)
        for pid in jobs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True

    def jobs(self) -> list[int]:
        """Processes that run a script of the workflow in this folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                here = (process / "cwd").resolve() == self.folder.resolve()
            except OSError:
                continue
            if here and len(words) > 1 and words[1].endswith((b"distill.py", b"evaluate.py", b"preprocess.py")):
                found.append(int(process.name))
        return found


def prepare(folder: Path) -> None:
    """An empty working directory with the configuration."""
    (folder / "config").mkdir(parents=True)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(CONFIG))


def target(seed: int) -> str:
    """The evaluation of a cell, and so everything before it."""
    return f"results/evaluation/digits/bacon/ipc1/seed{seed}/convnet.json"


def command(folder: Path, *arguments: str) -> list[str]:
    """Snakemake with the default profile; errors are reported, not retried."""
    return [
        sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "workflow/Snakefile"),
        "--directory", str(folder), "--workflow-profile", str(ROOT / "workflow/profiles/default"), "--cores", "1",
    ]  # fmt: skip


def undisturbed(folder: Path, seeds: list[int]) -> None:
    """The same cells, computed in peace."""
    prepare(folder)
    subprocess.run(command(folder, *map(target, seeds)), cwd=folder, capture_output=True, check=True)


def differences(one: Path, two: Path, seeds: list[int]) -> list[str]:
    """What differs between the results of two folders: nothing, when all is well."""
    found = []
    for seed in seeds:
        name = f"results/distilled/digits/bacon/ipc1/seed{seed}.h5"
        with h5py.File(one / name) as first, h5py.File(two / name) as second:
            names: list[str] = []
            first.visit(lambda item, names=names: names.append(item))
            for item in names:
                if isinstance(first[item], h5py.Dataset) and not np.array_equal(first[item][()], second[item][()]):
                    found.append(f"{name}: {item}")
        records = [numbers(folder / target(seed)) for folder in (one, two)]
        if records[0] != records[1]:
            found.append(target(seed))
    return found


def numbers(path: Path) -> list[dict]:
    """The records of an evaluation without their times."""
    records = json.loads(path.read_text())["records"]
    return [{key: value for key, value in record.items() if key != "wall_seconds"} for record in records]


def leftovers(folder: Path) -> list[str]:
    """Checkpoints and half-written results that should be gone; what a killed job left of a record, `bacon prune` removes."""
    checkpoints = (folder / "results/.cache/checkpoints").rglob("*.ckpt")
    half = (path for place in ("distilled", "evaluation") for path in (folder / "results" / place).rglob(".tmp-*"))
    return [str(path) for path in (*checkpoints, *half)]


def main() -> None:
    """Run the harness and print its tally."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    harness = Harness(arguments.folder / "disturbed", seed=arguments.seed)
    seeds = harness.disturb(arguments.kills)
    undisturbed(arguments.folder / "peace", seeds)
    found = differences(arguments.folder / "peace", arguments.folder / "disturbed", seeds)
    found += leftovers(arguments.folder / "disturbed")
    tally = {**harness.tally, "cells": len(seeds), "differences": found}
    print(json.dumps(tally, indent=1, sort_keys=True))
    shutil.rmtree(arguments.folder)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
