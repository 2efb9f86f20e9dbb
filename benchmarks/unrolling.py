"""Memory and time of trajectory matching's gradient against the number of steps, naive and in constant memory.

A student of ConvNet-3 takes steps on random images of CIFAR-10's size, and the distance to random weights is differentiated by
images and rate, as in an iteration of MTT. Peak memory is that of a process of its own, beyond what it held before; on a GPU
what PyTorch held there. Times are medians of runs that take turns, on a CPU in processor seconds.

Run in the project's folder:
python -m benchmarks.unrolling [--images 100] [--steps 1 3 10 30] [--rounds 3] [--device cpu] [--folder FOLDER].
With a folder, the numbers are also written to trajectory_memory.csv there, and drawn in trajectory_memory.png.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bacon.distillation.student_batches import StudentBatches
from bacon.distillation.trajectories import trajectory_distance
from bacon.distillation.unroll import FlatNetwork, unroll
from bacon.networks.build import build_network
from bacon.runtime.atomic import atomic_path
from bacon.runtime.draws import device_normal
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY
from bacon.settings.network import NetworkSettings
from benchmarks.machine import set_up

WAYS = {"naive": False, "constant": True}
TITLES = {"naive": "naive", "constant": "constant memory"}
_CLASSES = 10


def iteration(images: int, steps: int, *, constant_memory: bool, device: torch.device) -> Callable[[], None]:
    """One iteration's gradient, ready to run."""
    network = FlatNetwork(
        build_network(NetworkSettings(), channels=3, size=32, classes=_CLASSES, seed=0, device=device)
    )
    start = network.weights()
    target = start + 0.01 * device_normal(0, "target", count=len(start), device=device)
    pixels = device_normal(0, "images", count=images * 3 * 32 * 32, device=device).view(images, 3, 32, 32)
    labels = torch.arange(images, device=device) % _CLASSES
    rate = torch.full((), 0.01, device=device)

    def run() -> None:
        leaves = pixels.detach().requires_grad_(), rate.detach().requires_grad_()
        batches = StudentBatches(0, 0, steps=steps, batch=None, strategy=PAPER_DSA_STRATEGY, images=pixels)
        final = unroll(
            network, start, batches, (leaves[0], labels), rate=leaves[1], steps=steps, constant_memory=constant_memory
        )
        torch.autograd.grad(trajectory_distance(final, start, target), leaves)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def resident(key: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))


def peak(images: int, steps: int, way: str, device: torch.device) -> int:
    """Bytes that an iteration takes at most, in this process, which must have run no other."""
    iteration(images=2, steps=1, constant_memory=WAYS[way], device=device)()  # libraries' own workspaces
    run = iteration(images, steps, constant_memory=WAYS[way], device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def peak_elsewhere(images: int, steps: int, way: str, device: torch.device) -> int:
    """:func:`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.unrolling", "--peak", way, "--images", str(images)]
    command += ["--steps", str(steps), "--device", device.type]
    return int(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def seconds(images: int, steps: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each way, in turns, and the median of the ratios of neighbouring runs."""
    runs = {way: iteration(images, steps, constant_memory=constant, device=device) for way, constant in WAYS.items()}
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for turn in range(rounds + 1):
        for way, run in runs.items():
            start = clock()
            run()
            if turn:
                found[way].append(clock() - start)
    ratios = [ours / naive for ours, naive in zip(found["constant"], found["naive"], strict=True)]
    return {way: statistics.median(each) for way, each in found.items()} | {"ratio": statistics.median(ratios)}


def measured(images: int, steps: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """One row: memory of each way in MB, and with ``rounds`` its seconds and the ratio of both."""
    row: dict[str, Any] = {"images": images, "steps": steps}
    row |= {f"{way}_mb": round(peak_elsewhere(images, steps, way, device) / 1e6, 1) for way in WAYS}
    if rounds:
        taken = seconds(images, steps, rounds, device)
        row |= {f"{way}_seconds": round(taken[way], 3) for way in WAYS}
        row["constant_over_naive"] = round(taken["ratio"], 3)
    return row


def write(rows: list[dict[str, Any]], folder: Path) -> None:
    """``trajectory_memory.csv`` and ``trajectory_memory.png`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "trajectory_memory.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    with atomic_path(folder / "trajectory_memory.png") as path:
        _draw(rows).savefig(path, dpi=200, format="png")


def _draw(rows: list[dict[str, Any]]) -> Figure:
    """Memory against steps, a line for each way; dashed, what three steps take in the naive form, if that was measured."""
    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = [row["steps"] for row in rows]
    for way, marker in zip(WAYS, "os", strict=True):
        axes.plot(steps, [row[f"{way}_mb"] for row in rows], marker=marker, label=TITLES[way])
    for three in (row["naive_mb"] for row in rows if row["steps"] == 3):
        axes.axhline(three, color="0.5", linestyle="--", linewidth=1, label="three steps, naive")
    axes.set(xlabel="steps of the student", ylabel="memory of an iteration (MB)", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(f"{rows[0]['images']} images of 3x32x32, ConvNet-3")
    axes.legend()
    return figure


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Memory and time of an unrolled gradient against its steps.")
    parser.add_argument("--images", type=int, default=100, help="synthetic images per step (IPC 10 on CIFAR-10: 100)")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 3, 10, 30])
    parser.add_argument("--rounds", type=int, default=3, help="of the times; 0: memory alone")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--folder", type=Path, help="where trajectory_memory.csv and .png are written")
    parser.add_argument("--peak", choices=list(WAYS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    set_up(1)
    if given.peak:
        print(peak(given.images, given.steps[0], given.peak, device))
        return
    rows = []
    for steps in given.steps:
        rows.append(measured(given.images, steps, given.rounds, device))
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if given.folder:
        write(rows, given.folder)


if __name__ == "__main__":
    main()
