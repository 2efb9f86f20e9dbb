"""Everything that a machine with a GPU is to be asked, in one go: tests, speed in each precision, memory, accuracy.

Every step is a process of its own, so that what fails takes nothing with it; what it printed and measured is in a
folder.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError
from bacon.runtime.provenance import commit
from benchmarks.cells import ROOT

PRECISIONS = ("fp32", "tf32", "bf16")
TARGETS = {1: 43, 10: 60}
"""CIFAR-10: images per class -> test accuracy in percent that is waited for."""
CLOCK = (15, 30, 60, 120, 240, 480)
"""Seconds of distillation after which networks are trained."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process.

    Attributes:
        name: of the step and of its files.
        arguments: of Python.
        needed: nothing after it is worth running when it fails.
    """

    name: str
    arguments: tuple[str, ...]
    needed: bool = False


def steps(
    folder: Path,
    *,
    device: str,
    cells: Sequence[str],
    rounds: int,
    threads: int,
    published: Path | None,
    data: Path | None,
    tests: Sequence[str] = ("tests",),
) -> list[Step]:
    """The steps, in order.

    Args:
        folder: where their JSON files go.
        device: ``cuda``, or ``cpu`` to try the command itself.
        cells: cells whose speed and memory are measured.
        rounds: iterations of each program, in turns.
        threads: CPU threads.
        published: checkout of the published BACON code, timed beside ours in full precision.
        data: folder of preprocessed data sets (``results/data``); with cifar10.h5 there, its time to accuracy is measured.
        tests: what pytest is pointed at.
    """
    common = ("--device", device, "--threads", str(threads))
    chosen = tuple(part for cell in cells for part in ("--cell", cell))
    found = [Step(name="tests", arguments=("-m", "pytest", "-q", "-m", "gpu", *tests), needed=True)]
    for precision in PRECISIONS if device == "cuda" else PRECISIONS[-1:]:
        theirs = ("--published", str(published)) if published is not None and precision == "fp32" else ()
        asked = ("--rounds", str(rounds), "--precision", precision, *theirs)
        found.append(_measure(folder, "paper", f"speed-{precision}", *common, *chosen, *asked))
    found.append(_measure(folder, "memory", "memory", *common, *chosen))
    cifar = None if data is None else data / "cifar10.h5"
    if cifar is not None and cifar.is_file():
        for ipc, target in TARGETS.items():
            name = f"accuracy-ipc{ipc}"
            arguments = ("--cell", f"cifar10/bacon/ipc{ipc}", "--data", str(cifar), "--folder", str(folder / name))
            arguments += ("--target", str(target), *(part for seconds in CLOCK for part in ("--clock", str(seconds))))
            found.append(_measure(folder, "accuracy", name, *common, *arguments))
    return found


def _measure(folder: Path, command: str, name: str, *arguments: str) -> Step:
    output = ("--output", str(folder / f"{name}.json"))
    return Step(name=name, arguments=("-m", "benchmarks", command, *arguments, *output))


def run(todo: Sequence[Step], folder: Path) -> list[dict[str, Any]]:
    """Run the steps one after another; what each printed goes to ``NAME.log`` and, after each, what ended how to ``gpu.json``.

    Raises:
        BaconError: a step failed, at the end; at once when nothing after it is worth running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for step in todo:
        log = folder / f"{step.name}.log"
        click.echo(f"{step.name}: python {' '.join(step.arguments)} > {log}")
        start = time.perf_counter()
        with log.open("w", encoding="utf-8") as file:
            command = [sys.executable, *step.arguments]
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False, cwd=ROOT).returncode
        rows.append({"step": step.name, "status": status, "seconds": time.perf_counter() - start})
        write_json(folder / "gpu.json", {"commit": commit(), "steps": rows})
        if status != 0 and step.needed:
            break
    if failed := [row["step"] for row in rows if row["status"] != 0]:
        logs = ", ".join(str(folder / f"{name}.log") for name in failed)
        raise BaconError(f"failed: {', '.join(failed)}; {len(todo) - len(rows)} steps were not started. See {logs}")
    return rows
