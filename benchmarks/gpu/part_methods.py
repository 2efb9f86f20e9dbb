"""Seeds of a cell at once; iterations of methods that match no embeddings, replayed and launched kernel by kernel."""

from __future__ import annotations

import statistics
from functools import partial

import torch

from bacon.distillation.real_images import RealImages
from bacon.distillation.recorded_steps import RecordedSteps
from bacon.runtime.streams import Streams
from benchmarks.cells import engine_of, random_dataset
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.iterations import WARM_UP, Iterations, cell_in, forget_peak, peak_gpu_bytes
from benchmarks.gpu.request import Request
from benchmarks.machine import seconds_of, set_up

_PRECISIONS = 2
_SEEDS = 4
_TURNS = 8
"""Iterations of each seed that are timed together."""
_ROUNDS = 3


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Seeds of the scale's ``small`` cells in the most important precision, each cell of its ``methods`` in two."""
    device = torch.device(request.device)
    set_up(request.threads)
    for name in request.scale.small:
        if deadline.allows(f"seeds of {name} at once", found):
            _seeds(request, found, name, RealImages(random_dataset(name.partition("/")[0]), device=device))
    for precision in request.scale.precisions[:_PRECISIONS]:
        for name in request.scale.methods:
            if deadline.allows(f"iterations of {name} in {precision}", found):
                real = RealImages(random_dataset(name.partition("/")[0]), device=device)
                _compare(request, found, name, precision, real)


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
