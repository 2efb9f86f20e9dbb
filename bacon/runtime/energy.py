"""The energy that a job's device takes, read from the device's own counter: NVML's of a GPU, RAPL's of a CPU.

A counter is of a whole device. It cannot say which of several processes the energy was for, so joules are never divided;
beside them stands the job's share of the device's use, from which a reader sees whether the job had it for itself:

- of a GPU, 1 / (number of processes that compute on it), looked at every ten seconds and weighted by the joules;
- of a CPU, the job's CPU time over the time that all CPUs of the machine were busy.

Where a device tells nothing, energy is unknown. It is never computed from a power rating.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from bacon.runtime.logs import get_logger
from bacon.runtime.nvml import find_nvml
from bacon.runtime.provenance import peak_memory_bytes
from bacon.runtime.rapl import find_rapl
from bacon.runtime.used import Used

if TYPE_CHECKING:
    import torch

log = get_logger(__name__)

LOOK_SECONDS = 10.0
"""Between two readings that nobody asked for: RAPL's counters come round within minutes, and other jobs come and go."""


class Counter(Protocol):
    """What tells the energy of a device."""

    source: str
    """What it is, for tables: ``NVML`` or ``RAPL``."""

    def read(self) -> tuple[float, float | None]:
        """Joules since the counter was made, and the job's share of the device's use since then; ``None``: unknown.

        Raises:
            OSError: it does not tell any more.
        """
        ...


class EnergyMeter:
    """Reads a counter now and then, and when asked.

    Args:
        counter: the counter; ``None``: the device tells nothing.
        look_seconds: seconds between two readings that nobody asked for.
    """

    def __init__(self, counter: Counter | None, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._counter, self._every = counter, look_seconds
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._look, name="energy", daemon=True)
        if counter is not None:
            self._thread.start()

    def used(self) -> Used:
        """What the device has taken since the meter was made; unknown for good once the counter has failed."""
        with self._lock:
            counter = self._counter
            if counter is None:
                return Used()
            try:
                joules, share = counter.read()
            except OSError as error:
                log.info("energy is not recorded: %s stopped telling (%s)", counter.source, error)
                self._counter = None
                return Used()
            return Used(joules=joules, share=share, source=counter.source)

    def close(self) -> None:
        """Read no more."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        while not self._closed.wait(self._every):
            self.used()


@contextmanager
def measured_use(device: torch.device) -> Iterator[Callable[[], Used]]:
    """What is used of ``device`` from here on, as a function that says it; a log line says why, where energy is unknown."""
    found = _counter(device)
    if isinstance(found, str):
        log.info("energy is not recorded: %s", found)
    meter = EnergyMeter(None if isinstance(found, str) else found)

    try:
        yield lambda: replace(meter.used(), peak_memory_bytes=peak_memory_bytes(device))
    finally:
        meter.close()


def divided_use(use: Callable[[], Used], clock: Callable[[], float]) -> Callable[[], Used]:
    """What is used by one of several pieces of work that share this process: they divide the joules as they divide the time.

    Args:
        use: says what the process has used.
        clock: the piece's share of the time, in seconds (``bacon.runtime.clocks.SharedClock.now``).
    """
    last, own = (use().joules, clock(), time.monotonic()), 0.0

    def used() -> Used:
        nonlocal last, own
        whole, now = use(), (clock(), time.monotonic())
        joules, seconds, wall = last
        last = (whole.joules, *now)
        if whole.joules is None or joules is None:
            return replace(whole, joules=None, share=None, source="")
        part = min(1.0, (now[0] - seconds) / (now[1] - wall)) if now[1] > wall else 1.0
        own += (whole.joules - joules) * part
        return replace(whole, joules=own)

    return used


def _counter(device: torch.device) -> Counter | str:
    """The counter of a device, or why it has none."""
    if device.type != "cuda":
        return find_rapl()
    import torch

    return find_nvml(str(torch.cuda.get_device_properties(device).uuid))
