"""The machine that a run is planned for: cores, memory, graphics cards, and how fast one job computes. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

START_SECONDS = 2.0
"""Of a job, at least: Python, PyTorch from a warm disk, the data set."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine and its speed.

    Attributes:
        cores: CPU cores that this process may use.
        memory_mb: memory of the machine, or what its container may use.
        gpus: graphics cards that PyTorch can use.
        gpu_name: name of the first.
        operations_per_second: of one job (one CPU thread, or one GPU) in the convolutions of a training step.
        pass_seconds: of one pass through a small network, beyond its operations.
        start_seconds: of a job before it computes: Python, PyTorch, reading the data set.
    """

    cores: int
    memory_mb: int
    gpus: int = 0
    gpu_name: str = ""
    operations_per_second: float
    pass_seconds: float
    start_seconds: float

    @property
    def jobs(self) -> int:
        """Jobs with a network that compute at a time: one for each GPU, otherwise one for each core."""
        return self.gpus or self.cores

    def __str__(self) -> str:
        cores = f"{self.cores} CPU core{'s' if self.cores > 1 else ''}"
        return f"{cores}, {self.gpus} x {self.gpu_name}" if self.gpus else f"{cores}, no GPU"


def usable_cores() -> int:
    """CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_memory_mb() -> int:
    """Memory of the machine in MB, or the limit of its container where that is lower."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min([total, *_container_limits()]) / 1e6)


def _container_limits() -> list[int]:
    found = []
    for path in _CGROUP_LIMITS:
        try:
            found.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # another kind of system, or "max": no limit
            continue
    return found
