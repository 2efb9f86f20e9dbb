"""Each kernel alone, on the device alone, in each precision: time, bytes and operations per second."""

from __future__ import annotations

import torch

from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.device_time import device_seconds
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.kernel_work import Work, all_work
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Every kernel in every precision, the most important precision first."""
    for precision in request.scale.precisions:
        measure_kernels(request, found, deadline, precision)


def measure_kernels(request: Request, found: Findings, deadline: Deadline, precision: str) -> None:
    """Every kernel in ``precision``, as many as there is time for."""
    device = torch.device(request.device)
    set_up(request.threads, precision)
    for work in all_work(request.scale, precision, device):
        if deadline.allows(f"{work.name} in {precision}", found, kind=work.name):
            _measure(work, precision, found, device)


def _measure(work: Work, precision: str, found: Findings, device: torch.device) -> None:
    seconds, recorded = device_seconds(work.run, device)
    if work.first is not None:
        seconds = max(seconds - device_seconds(work.first, device)[0], 1e-9)
    found.row(
        "kernels",
        kernel=work.name,
        precision=precision,
        us=1e6 * seconds,
        recorded=recorded,
        gigabytes_per_second=work.bytes / seconds / 1e9 or None,
        teraflop_per_second=work.flop / seconds / 1e12 or None,
    )
    found.figure(f"{work.name} {precision}, us", 1e6 * seconds)
