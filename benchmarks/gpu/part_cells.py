"""Hours of cells, from the time of their iterations; by default of all that the paper has."""

from __future__ import annotations

from typing import Any

import torch

from bacon.distillation.real_images import RealImages
from benchmarks.cells import Measured, random_dataset
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.iterations import Iterations, cell_in, forget_peak, peak_gpu_bytes
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up

_PRECISIONS = 2


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Seconds of an iteration of each cell, queued, and the hours of all of them, one precision after the other.

    The hours of all stand only where all were measured.
    """
    device, names = torch.device(request.device), request.cells or request.scale.whole
    set_up(request.threads)
    for precision in request.scale.precisions[:_PRECISIONS]:
        hours: list[float] = []
        real, real_of = None, ""
        for name in names:
            if not deadline.allows(f"hours of {name} in {precision}", found):
                continue
            dataset = name.partition("/")[0]
            if real is None or real_of != dataset:
                real = None  # the last one goes before the next comes
                real, real_of = RealImages(random_dataset(dataset), device=device), dataset
            hours.append(_hours(request, found, cell_in(request, name, precision), real))
        if len(hours) == len(names):
            found.figure(f"hours of all cells {precision}", sum(hours))


def _hours(request: Request, found: Findings, cell: Measured, real: RealImages) -> float:
    forget_peak(real.device)
    iterations = Iterations(cell, real, threads=request.threads)
    count = iterations.enough(request.scale.queued / 2, iterations.warm_up())
    row: dict[str, Any] = {"cell": str(cell.cell), "precision": cell.settings.network.precision, "queued": count}
    row["seconds"] = iterations.queued(count)
    row["hours"] = row["seconds"] * cell.matching.iterations / 3600
    found.row("cells", **row, gpu_reserved_bytes=peak_gpu_bytes(real.device))
    name = str(cell.cell).removesuffix("/seed0")
    found.figure(f"hours of {name} {row['precision']}", row["hours"])
    return float(row["hours"])
