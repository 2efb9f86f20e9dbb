"""Seeds of a cell at once; iterations of methods that match no embeddings, replayed and launched kernel by kernel."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import cache, partial

import torch

from bacon.distillation.real_images import RealImages
from bacon.distillation.recorded_steps import RecordedSteps
from bacon.runtime.streams import Streams
from benchmarks.cells import engine_of
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import WARM_UP, Iterations, cell_in, forget_peak, peak_gpu_bytes, steady
from benchmarks.gpu.request import Request
from benchmarks.machine import seconds_of, set_up

_SEEDS = 4
_TURNS = 8
"""Iterations of each seed that are timed together."""
_ROUNDS = 3
_STEADY_LAUNCHED = 0.1
"""Of iterations launched kernel by kernel, whose time is the host's."""


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Seeds of the scale's ``small`` cells in the most important precision, each cell of its ``methods`` in all.

    The first method, which has a target, comes before all others.
    """
    device, scale = torch.device(request.device), request.scale
    set_up(request.threads)

    @cache
    def real(dataset: str) -> RealImages:
        return RealImages(images_of(dataset), device=device)

    def compare(names: Sequence[str], precision: str) -> None:
        for name in names:
            if deadline.allows(f"iterations of {name} in {precision}", found, kind=name):
                _compare(request, found, name, precision, real(name.partition("/")[0]))

    first, *others = scale.precisions
    compare(scale.methods[:1], first)
    for name in scale.small:
        if deadline.allows(f"seeds of {name} at once", found):
            _seeds(request, found, name, real(name.partition("/")[0]))
    compare(scale.methods[1:], first)
    for precision in others:
        compare(scale.methods, precision)


def _seeds(request: Request, found: Findings, name: str, real: RealImages) -> None:
    """An iteration of each of some seeds in turn, side by side and one after another (``run.cells_at_once``)."""
    precision = request.scale.precisions[0]
    cell = cell_in(request, name, precision)
    set_up(request.threads, precision)
    engines = [engine_of(cell, real, seed=seed) for seed in range(_SEEDS)]
    streams = Streams(real.device, _SEEDS)

    def turns(count: int, *, side_by_side: bool) -> None:
        streams.begin()
        for _ in range(count):
            for place, engine in enumerate(engines):
                with streams.on(place):
                    engine.step()
                if not side_by_side:  # the next one waits for this one
                    streams.end()
                    streams.begin()
        streams.end()

    turns(WARM_UP, side_by_side=True)
    times = [
        tuple(seconds_of(partial(turns, _TURNS, side_by_side=flag), real.device) for flag in (True, False))
        for _ in range(_ROUNDS)
    ]
    found.row("seeds", cell=name, precision=precision, seeds=_SEEDS, iterations=_TURNS, seconds=times)
    ratio = statistics.median(one_by_one / at_once for at_once, one_by_one in times)
    found.figure(f"{_SEEDS} seeds one after another over at once {name} {precision}", ratio)


def _compare(request: Request, found: Findings, name: str, precision: str, real: RealImages) -> None:
    forget_peak(real.device)
    cell = cell_in(request, name, precision)
    replayed, launched = (Iterations(cell, real, threads=request.threads) for _ in range(2))
    for steps in vars(launched.engine.algorithm).values():
        if isinstance(steps, RecordedSteps):
            steps.records = False
    launched.steps(1)  # nothing is recorded, and only kernels have to be compiled
    one = replayed.warm_up() + launched.waited()
    count = max(1, round(request.scale.queued / one))
    times: list[tuple[float, float]] = []
    for _ in range(replayed.affordable(request.rounds, count * one)):
        times.append((replayed.queued(count), launched.queued(count)))
        own, other = zip(*times, strict=True)
        if steady(own) and steady(other, _STEADY_LAUNCHED):
            break
    ours = statistics.median(seconds for seconds, _ in times)
    ratio = statistics.median(other / own for own, other in times)
    found.row("methods", cell=name, precision=precision, replayed_and_launched_seconds=times, queued_at_a_time=count)
    found.figure(f"iteration {name} {precision}, ms", 1000 * ours)
    found.figure(f"launched over replayed {name} {precision}", ratio)
    found.figure(f"memory of {name} {precision}, both at once, GB", peak_gpu_bytes(real.device) / 1e9)
