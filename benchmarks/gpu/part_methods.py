"""Iterations of methods that match no embeddings, replayed and launched kernel by kernel, in turns."""

from __future__ import annotations

import statistics

import torch

from bacon.distillation.real_images import RealImages
from bacon.distillation.recorded_steps import RecordedSteps
from benchmarks.cells import random_dataset
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.iterations import Iterations, cell_in, forget_peak, peak_gpu_bytes
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up

_PRECISIONS = 2


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Each cell of the scale's ``methods`` in the most important precisions."""
    device = torch.device(request.device)
    set_up(request.threads)
    for precision in request.scale.precisions[:_PRECISIONS]:
        for name in request.scale.methods:
            if deadline.allows(f"iterations of {name} in {precision}", found):
                real = RealImages(random_dataset(name.partition("/")[0]), device=device)
                _compare(request, found, name, precision, real)


def _compare(request: Request, found: Findings, name: str, precision: str, real: RealImages) -> None:
    forget_peak(real.device)
    cell = cell_in(request, name, precision)
    replayed, launched = (Iterations(cell, real, threads=request.threads) for _ in range(2))
    for steps in vars(launched.engine.algorithm).values():
        if isinstance(steps, RecordedSteps):
            steps.records = False
    one = launched.warm_up() + replayed.warm_up()
    count = max(1, round(request.scale.queued / one))
    turns = replayed.affordable(request.rounds, count * one)
    times = [(replayed.queued(count), launched.queued(count)) for _ in range(turns)]
    ours = statistics.median(seconds for seconds, _ in times)
    ratio = statistics.median(other / own for own, other in times)
    found.row("methods", cell=name, precision=precision, replayed_and_launched_seconds=times, queued_at_a_time=count)
    found.figure(f"iteration {name} {precision}, ms", 1000 * ours)
    found.figure(f"launched over replayed {name} {precision}", ratio)
    found.figure(f"memory of {name} {precision}, both at once, GB", peak_gpu_bytes(real.device) / 1e9)
