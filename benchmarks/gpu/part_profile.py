"""What an iteration's time goes to: its largest kernels, and the share of the time in which no kernel runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from bacon.distillation.real_images import RealImages
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import WARM_UP, Iterations, cell_in
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up, synchronise

_ITERATIONS = 3
_LARGEST = 10


class Span(NamedTuple):
    """A kernel (on a CPU, an operation) that ran.

    Attributes:
        name: of the kernel.
        start: microseconds.
        end: microseconds.
    """

    name: str
    start: float
    end: float


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Iterations that follow each other, in the most important precisions."""
    device, name = torch.device(request.device), request.scale.compared
    set_up(request.threads)
    real = RealImages(images_of(name), device=device)
    for precision in request.scale.precisions:
        if deadline.allows(f"profile in {precision}", found):
            iterations = Iterations(cell_in(request, name, precision), real, threads=request.threads)
            iterations.steps(WARM_UP)
            spans = profiled(iterations)
            for row in largest(spans):
                found.row(f"kernels of an iteration, {name} {precision}", **row)
            found.figure(f"share of the time without a kernel {name} {precision}", idle(spans))
            found.figure(f"kernels of an iteration {name} {precision}", len(spans) / _ITERATIONS)


def profiled(iterations: Iterations) -> list[Span]:
    """The kernels of a few iterations; on a CPU, operations that are not part of another."""
    on_gpu = iterations.device.type == "cuda"
    synchronise(iterations.device)
    # Not both on a GPU: watching the host slows its launches, and the time between kernels is what is looked for.
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        iterations.steps(_ITERATIONS)
        synchronise(iterations.device)
    events: Any = profiler.events()
    kind = "CUDA" if on_gpu else "CPU"
    return [
        Span(event.name, event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type.name == kind and (on_gpu or event.cpu_parent is None)
    ]


def largest(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """The kernels that take most time, all their runs together; launches and times per iteration."""
    times: dict[str, list[float]] = defaultdict(list)
    for span in spans:
        times[span.name].append(span.end - span.start)
    total = sum(map(sum, times.values()))
    rows: list[dict[str, Any]] = [
        {
            "kernel": name,
            "ms": sum(found) / 1000 / _ITERATIONS,
            "launches": len(found) / _ITERATIONS,
            "share": sum(found) / total,
        }
        for name, found in times.items()
    ]
    return sorted(rows, key=lambda row: -row["share"])[:_LARGEST]


def idle(spans: Sequence[Span]) -> float:
    """Share of the time between the first start and the last end in which none of ``spans`` runs."""
    if not spans:
        return 1.0
    covered, reached = 0.0, min(span.start for span in spans)
    first = reached
    for span in sorted(spans, key=lambda span: span.start):
        if span.end > reached:
            covered += span.end - max(span.start, reached)
            reached = span.end
    return 1 - covered / (reached - first) if reached > first else 0.0
