"""RAPL, the energy counters of Intel's and AMD's processors, as Linux shows them under ``/sys/class/powercap``.

The files are readable by the administrator alone unless a machine's owner opens them (docs/report.md says how).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_COUNTED = ("package", "dram")
"""Domains that are added up: processors, and their memory where it has a counter of its own. Those of cores and of the
integrated graphics are part of a package's; that of the platform contains it."""
_MOST_WATTS = 1000.0
"""More than a package draws: a counter that is read sooner than it can come round at this power has come round once at most."""


class Domain:
    """One counter, which starts again at zero when it is full.

    Args:
        folder: of the domain, with ``energy_uj`` and ``max_energy_range_uj``.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else than a number.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._range = folder / "energy_uj", int((folder / "max_energy_range_uj").read_text())
        self._last = self._read()
        self.joules = 0.0

    def _read(self) -> int:
        return int(self._file.read_text())

    @property
    def longest(self) -> float:
        """Seconds between two readings after which it may have come round unseen."""
        return self._range / 1e6 / _MOST_WATTS

    def update(self) -> None:
        """Add what was taken since the last reading."""
        now = self._read()
        self.joules += (now - self._last) % self._range / 1e6
        self._last = now


class Rapl:
    """The processors of this machine and their memory.

    Args:
        domains: at least one.
        clock: seconds, those of a machine that sleeps included.
        busy: seconds that all CPUs of the machine together have been busy; ``None``: unknown.
        own: CPU seconds of this process.
    """

    source = "RAPL"

    def __init__(
        self,
        domains: Sequence[Domain],
        *,
        clock: Callable[[], float],
        busy: Callable[[], float | None],
        own: Callable[[], float],
    ) -> None:
        self._domains, self._clock, self._busy, self._own = domains, clock, busy, own
        self._longest = min(domain.longest for domain in domains)
        self._last, self._from = clock(), (own(), busy())

    def read(self) -> tuple[float, float | None]:
        """Joules since the counter was made, and the job's CPU time over all that the machine's CPUs were busy for.

        Raises:
            OSError: a counter cannot be read any more, or was left alone for so long that it may have come round unseen.
        """
        now = self._clock()
        if now - self._last > self._longest:
            raise OSError(f"it was not read for {now - self._last:.0f} s, in which it may have started again unseen")
        self._last = now
        try:
            for domain in self._domains:
                domain.update()
        except ValueError as error:
            raise OSError(str(error)) from None
        return sum(domain.joules for domain in self._domains), self._share()

    def _share(self) -> float | None:
        (own, busy), now = self._from, self._busy()
        if busy is None or now is None or now <= busy:
            return None
        return min(1.0, (self._own() - own) / (now - busy))


def find_rapl(root: Path = POWERCAP) -> Rapl | str:
    """The counter of this machine's processors, or why there is none."""
    folders = [folder for folder in sorted(root.glob("intel-rapl:*")) if _name(folder).startswith(_COUNTED)]
    if not folders:
        return f"this CPU has no energy counter under {root}"
    try:
        domains = [Domain(folder) for folder in folders]
    except (OSError, ValueError) as error:
        return f"the CPU's energy counter cannot be read ({error})"
    return Rapl(domains, clock=_seconds, busy=busy_seconds, own=own_seconds)


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text()
    except OSError:
        return ""


def _seconds() -> float:
    # The monotonic clock stops while a machine sleeps, and counters may start again there.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def own_seconds() -> float:
    """CPU seconds of this process, all its threads together."""
    return time.process_time()


def busy_seconds(path: Path = Path("/proc/stat")) -> float | None:
    """CPU seconds that all CPUs have spent on work since the machine started; ``None`` where Linux does not say it."""
    try:
        name, user, nice, system, _idle, _waiting, interrupts, soft, *_ = path.read_text().split(maxsplit=9)
        ticks = sum(map(int, (user, nice, system, interrupts, soft)))
    except (OSError, ValueError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if name == "cpu" else None
