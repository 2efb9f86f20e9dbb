"""Hours of cells, from the time of their iterations; by default of all that the paper has."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from bacon.distillation.real_images import RealImages
from benchmarks.cells import Measured
from benchmarks.gpu import runner
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import Iterations, cell_in, forget_peak, peak_gpu_bytes
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Seconds of an iteration of each cell, queued, and the hours of all of them, one precision after the other.

    What the part ``speed`` has measured in the same call is taken from there. The hours of all stand only where there are those
    of each.
    """
    device, names = torch.device(request.device), request.cells or request.scale.whole
    set_up(request.threads)
    known = _measured_before(request)
    for precision in request.scale.precisions:
        hours: list[float] = []
        real, real_of = None, ""
        for name in names:
            cell = cell_in(request, name, precision)
            if (row := known.get((str(cell.cell), precision))) is None:
                if not deadline.allows(f"hours of {name} in {precision}", found, kind=name):
                    continue
                if real is None or real_of != cell.cell.dataset:
                    real = None  # the last one goes before the next comes
                    real, real_of = RealImages(images_of(cell.cell.dataset), device=device), cell.cell.dataset
                row = _timed(request, cell, real)
            hours.append(_hours(found, cell, row))
        if len(hours) == len(names):
            found.figure(f"hours of all cells {precision}", sum(hours))


def _measured_before(request: Request) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the part ``speed`` by cell and precision, as :func:`_timed` returns them."""
    rows = runner.earlier_findings(request.folder, "speed").get("rows", {}).get("iterations", [])
    return {
        (str(cell_in(request, row["cell"], row["precision"]).cell), row["precision"]): {
            "queued": row["queued_at_a_time"],
            "seconds": statistics.median(row["queued_seconds"]),
            "measured_by": "speed",
        }
        for row in rows
    }


def _timed(request: Request, cell: Measured, real: RealImages) -> dict[str, Any]:
    """Seconds of an iteration, of how many, and the memory of them."""
    forget_peak(real.device)
    iterations = Iterations(cell, real, threads=request.threads)
    count = iterations.enough(request.scale.queued / 2, iterations.warm_up())
    seconds = iterations.queued(count)
    return {"queued": count, "seconds": seconds, "gpu_reserved_bytes": peak_gpu_bytes(real.device)}


def _hours(found: Findings, cell: Measured, row: dict[str, Any]) -> float:
    precision, hours = cell.settings.network.precision, row["seconds"] * cell.matching.iterations / 3600
    found.row("cells", cell=str(cell.cell), precision=precision, **row, hours=hours)
    found.figure(f"hours of {str(cell.cell).removesuffix('/seed0')} {precision}", hours)
    return float(hours)
