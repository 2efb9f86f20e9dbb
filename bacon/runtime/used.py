"""What a job has used of its device: energy, as the device's own counter tells it, and peak memory. Nothing is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a job, or a part of it that was not interrupted, has used.

    Attributes:
        joules: that the whole device took meanwhile, whoever used it; ``None``: unknown.
        share: of the device's use that was the job's, in [0, 1] (``bacon.runtime.energy``); ``None``: unknown.
        source: of the joules; empty where they are unknown.
        peak_memory_bytes: allocated on a GPU, or of the process on a CPU; 0: not looked at.
    """

    joules: float | None = None
    share: float | None = None
    source: str = ""
    peak_memory_bytes: int = 0

    def and_then(self, later: Used) -> Used:
        """This part and a later one together: what is unknown of one is unknown of both."""
        sources = dict.fromkeys(one.source for one in (self, later) if one.source)
        return Used(
            joules=None if self.joules is None or later.joules is None else self.joules + later.joules,
            share=_share(self, later),
            source="; ".join(sources),
            peak_memory_bytes=max(self.peak_memory_bytes, later.peak_memory_bytes),
        )

    def energy(self) -> dict[str, Any]:
        """Attributes of a file: ``energy_joules``, ``energy_source`` and ``energy_share``, each only where it is known."""
        if self.joules is None:
            return {}
        known = {"energy_joules": self.joules, "energy_source": self.source}
        return known if self.share is None else known | {"energy_share": self.share}


def _share(one: Used, other: Used) -> float | None:
    """The mean of two shares, each weighted by its joules."""
    if one.share is None or other.share is None or one.joules is None or other.joules is None:
        return None
    total = one.joules + other.joules
    return (one.share * one.joules + other.share * other.joules) / total if total > 0 else min(one.share, other.share)
