"""Iterations of distillation: ours, split into parts, in turns with the plain loop and with the published program."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.runtime.errors import BaconError
from bacon.runtime.provenance import peak_memory_bytes
from benchmarks.cells import Measured, engine_of, random_dataset
from benchmarks.cost import Cost, iteration
from benchmarks.machine import seconds_of, synchronise
from benchmarks.naive import PlainLoop
from benchmarks.published import Published, distillation_arguments


def measure(
    measured: Measured,
    *,
    device: torch.device,
    rounds: int,
    ceilings: dict[str, Any],
    naive: bool = True,
    published: Path | None = None,
    chunk_images: int = 2048,
) -> dict[str, Any]:
    """Seconds per iteration of a cell on random data of its shape.

    Args:
        measured: the cell.
        device: where ours and the plain loop run; the published program takes the GPU if there is one.
        rounds: iterations of each, taken in turns after one that does not count; medians are reported.
        ceilings: of the machine, from :func:`benchmarks.machine.ceilings`.
        naive: measure the plain loop too.
        published: the user's checkout of the published code, measured too; CIFAR-10 BACON cells only.
        chunk_images: images embedded at a time.

    Returns:
        One row: seconds per iteration of each program, ratios to ours, our parts, and the share of the roofline.
    """
    dataset = random_dataset(measured.cell.dataset)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    real = RealImages(dataset, device=device)
    engine = engine_of(measured, real, chunk_images=chunk_images)
    programs: dict[str, Callable[[], float]] = {"ours": lambda: seconds_of(engine.step, device)}
    if naive:
        loop = PlainLoop(real, measured.matching, measured.settings.network, ipc=measured.ipc)
        programs["naive"] = lambda: seconds_of(loop.iteration, device)
    context: Any = nullcontext()
    if published is not None:
        specification = {"do": "distil", "arguments": distillation_arguments(measured)}
        threads = torch.get_num_threads()
        context = Published(published, dataset, threads=threads, specification=specification)
    with context as program:
        if program is not None:
            programs["published"] = lambda: sum(program.ask().values())
        seconds = in_turns(programs, rounds)
    costs = iteration(measured.matching, measured.settings.network, real.shape, list(real.counts), measured.ipc)
    row = {"cell": str(measured.cell), **summary(seconds), **parts(engine, rounds)}
    row |= {"whole_hours": measured.matching.iterations * row["seconds"] / 3600}
    row |= {"peak_memory_bytes": peak_memory_bytes(device)}
    return row | roofline(costs, ceilings, row["seconds"])


def in_turns(programs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Times of each program: one run of each that does not count, then ``rounds`` of each in turns."""
    for run in programs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, run in programs.items():
            seconds[name].append(run())
    return seconds


def summary(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and how many times as long the others take: the median of the ratios of the rounds."""
    ours = seconds["ours"]
    row: dict[str, Any] = {"seconds": statistics.median(ours), "rounds": len(ours)}
    row["per_second"] = 1 / row["seconds"]
    for name, times in seconds.items():
        if name != "ours":
            row[f"{name}_seconds"] = statistics.median(times)
            row[f"{name}_over_ours"] = statistics.median(other / own for other, own in zip(times, ours, strict=True))
    return row


def parts(engine: Engine, rounds: int) -> dict[str, float]:
    """Median seconds of an iteration's parts: real pass, synthetic pass, queue training, and what is left (host).

    The device is waited for around each part, so the parts of a GPU add up to more than an iteration that never waits.
    """
    times: dict[str, list[float]] = defaultdict(list)
    matching: Any = engine.algorithm
    watched = {
        "real": (matching, "real_statistics"),
        "matching": (matching, "gradient"),
        "queue": (matching.pool, "advance"),
    }
    for _ in range(rounds):
        spent: dict[str, float] = defaultdict(float)
        restore = [_watch(owner, name, part, spent, engine.device) for part, (owner, name) in watched.items()]
        try:
            total = seconds_of(engine.step, engine.device)
        finally:
            for undo in restore:
                undo()
        times["real_seconds"].append(spent["real"])
        times["synthetic_seconds"].append(spent["matching"] - spent["real"])
        times["queue_seconds"].append(spent["queue"])
        times["host_seconds"].append(total - spent["matching"] - spent["queue"])
    return {name: statistics.median(values) for name, values in times.items()}


def _watch(owner: Any, name: str, part: str, spent: dict[str, float], device: torch.device) -> Callable[[], None]:
    """Add the time of calls of ``owner.name`` to ``spent[part]``; returns what undoes it."""
    original = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        synchronise(device)
        start = time.perf_counter()
        result = original(*args, **kwargs)
        synchronise(device)
        spent[part] += time.perf_counter() - start
        return result

    setattr(owner, name, timed)
    return lambda: delattr(owner, name)


def roofline(costs: dict[str, Cost], ceilings: dict[str, Any], seconds: float) -> dict[str, float]:
    """FLOP and bytes that an iteration must spend, what of them per second, and the share of the roofline."""
    total = sum(costs.values(), start=Cost(0, 0))
    least = sum(cost.seconds(ceilings["flop_per_second"], ceilings["bytes_per_second"]) for cost in costs.values())
    if seconds <= 0:
        raise BaconError("an iteration took no time: the clock is broken")
    return {
        "flop": total.flop,
        "bytes": total.bytes,
        "flop_per_second": total.flop / seconds,
        "bytes_per_second": total.bytes / seconds,
        "roofline_share": least / seconds,
    }
