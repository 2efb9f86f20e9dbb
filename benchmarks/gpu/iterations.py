"""Iterations of a cell on random images, queued as a job queues them or each waited for."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Sequence

import torch

from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.runtime.errors import BaconError
from benchmarks.cells import Measured, engine_of, measured
from benchmarks.gpu.request import Request
from benchmarks.machine import seconds_of, set_up, synchronise

WARM_UP = 3
"""Iterations that do not count: kernels are compiled and steps recorded."""
_MOST_QUEUED = 400
_MOST_SECONDS = 4.0
"""Of one kind of measurement of a cell in a precision, where two rounds do not take longer."""


def cell_in(request: Request, name: str, precision: str) -> Measured:
    """A cell with its settings, in a precision."""
    return measured(name, request.config, precision=precision)


class Iterations:
    """A distillation that is stepped and timed.

    Args:
        cell: the cell.
        real: the images.
        threads: CPU threads.
        deterministic: equal bits in every run.
    """

    def __init__(self, cell: Measured, real: RealImages, *, threads: int, deterministic: bool = True) -> None:
        self.cell, self.device = cell, real.device
        self._arithmetic = threads, cell.settings.network.precision, deterministic
        self.use()
        self.engine: Engine = engine_of(cell, real)

    def use(self) -> None:
        """Set up the arithmetic of this distillation: another one of the process may have its own."""
        threads, precision, deterministic = self._arithmetic
        set_up(threads, precision, deterministic=deterministic)

    def steps(self, count: int) -> None:
        """Iterations that are not waited for; raises :class:`BaconError` where the cell has not as many."""
        self.use()
        self._check(count)
        for _ in range(count):
            self.engine.step()

    def warm_up(self) -> float:
        """The iterations that do not count; returns the seconds of the last."""
        self.steps(WARM_UP - 1)
        return self.waited()

    def waited(self) -> float:
        """Seconds of one iteration with the device's queue empty before and after."""
        self.use()
        self._check(1)
        return seconds_of(self.engine.step, self.device)

    def _check(self, count: int) -> None:
        has, wanted = self.engine.algorithm.iterations, self.engine.iteration + count
        if wanted > has:
            raise BaconError(
                f"{self.cell.cell}: has {has} iterations, and {wanted} are measured; raise distillation.iterations"
            )

    def queued(self, count: int) -> float:
        """Seconds of an iteration, of ``count`` that follow each other as in a job."""
        return seconds_of(lambda: self.steps(count), self.device) / count

    def affordable(self, rounds: int, one: float) -> int:
        """Rounds of which each takes ``one`` seconds: ``rounds``, or as many as some seconds hold, two at the least."""
        return min(rounds, max(2, int(_MOST_SECONDS / max(one, 1e-9))))

    def enough(self, seconds: float, one: float) -> int:
        """Iterations that take about ``seconds`` when one takes ``one``: whole intervals of new networks where they fit."""
        count = max(2, min(_MOST_QUEUED, round(seconds / one)))
        interval = getattr(getattr(self.cell.matching, "networks", None), "net_generate_interval", 1)
        return count // interval * interval or count


def steady(times: Sequence[float], share: float = 0.01) -> bool:
    """Whether two rounds or more have taken the same, the longest less than ``share`` longer than the shortest."""
    return len(times) > 1 and max(times) < (1 + share) * min(times)


def median_waited(iterations: Iterations, rounds: int) -> float:
    """Median seconds of iterations that are waited for."""
    return statistics.median(iterations.waited() for _ in range(rounds))


def peak_gpu_bytes(device: torch.device) -> int:
    """Most that PyTorch has reserved on the device since :func:`forget_peak`; 0 on a CPU."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0


def forget_peak(device: torch.device) -> None:
    """Give back what is free, and count from here."""
    synchronise(device)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
