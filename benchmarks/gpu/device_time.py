"""Seconds of small pieces of work on the device alone, without the host that launches them."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from bacon.runtime.recording import recorded
from benchmarks.machine import seconds_of

_TOGETHER = 10
"""Runs of the work in one recording or one stretch of time."""
_STRETCHES = 5


def device_seconds(work: Callable[[], object], device: torch.device) -> tuple[float, bool]:
    """Median seconds of ``work``, and whether it was recorded as a CUDA graph, so that the host's launches cost nothing.

    Args:
        work: reads and writes the same tensors in every run.
        device: on a CPU the clock's seconds count.
    """
    if device.type != "cuda":
        work()
        return min(seconds_of(work, device) for _ in range(_STRETCHES)), False
    try:
        replay, is_recorded = recorded(_launched(work), warm_up=work).replay, True
    except RuntimeError:  # it needs the host: it is launched again and again
        torch.cuda.synchronize(device)
        replay, is_recorded = _launched(work), False
    replay()
    return statistics.median(_elapsed(replay) for _ in range(_STRETCHES)) / _TOGETHER, is_recorded


def _launched(work: Callable[[], object]) -> Callable[[], object]:
    def run() -> None:
        for _ in range(_TOGETHER):
            work()

    return run


def _elapsed(work: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
