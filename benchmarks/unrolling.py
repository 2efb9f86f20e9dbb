"""Memory and time of trajectory matching's gradient against the number of steps, naive and in constant memory.

A student of ConvNet-3 takes steps on random images of CIFAR-10's size, and the distance to random weights is differentiated by
images and rate, as in an iteration of MTT. Peak memory is that of a process of its own, beyond what it held before; on a GPU
what PyTorch held there. Times are medians of runs that take turns, on a CPU in processor seconds.

Run in the project's folder: python -m benchmarks.unrolling [--images 100] [--steps 1 3 10 30] [--rounds 3] [--device cpu].
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bacon.distillation.student_batches import StudentBatches
from bacon.distillation.trajectories import trajectory_distance
from bacon.distillation.unroll import FlatNetwork, unroll
from bacon.networks.build import build_network
from bacon.runtime.draws import device_normal
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY
from bacon.settings.network import NetworkSettings

WAYS = {"naive": False, "constant": True}
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Memory and time of an unrolled gradient against its steps.")
    parser.add_argument("--images", type=int, default=100, help="synthetic images per step (IPC 10 on CIFAR-10: 100)")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 3, 10, 30])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--peak", choices=list(WAYS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.set_num_threads(1)
    if given.peak:
        print(peak(given.images, given.steps[0], given.peak, device))
        return
    for steps in given.steps:
        memory = {way: peak_elsewhere(given.images, steps, way, device) / 1e6 for way in WAYS}
        taken = seconds(given.images, steps, given.rounds, device)
        print(
            f"{steps:3d} steps of {given.images} images: naive {memory['naive']:7.0f} MB {taken['naive']:7.2f} s, constant "
            f"{memory['constant']:7.0f} MB {taken['constant']:7.2f} s, time ratio {taken['ratio']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
